/// Decodes a baseline or extended sequential scan: each block at once, from bits to samples.
///
/// Source: ITU-T T.81, section F.2.
struct SequentialScan {
  /// A component of the scan: its tables and the destination of its samples, if needed.
  struct Member {
    let dcTable: HuffmanTable
    let acTable: HuffmanTable
    /// 64 quantization steps in natural order.
    let steps: Plane<Int16>
    let samples: Plane<UInt8>?
  }

  let members: [Member]

  func decode(_ data: EntropyCodedData, walk: ScanWalk) throws(ImageError) {
    let block = Plane<Int16>(width: 64, height: 1)
    let predictors = Plane<Int>(width: 4, height: 1)
    let zigzag = Zigzag.positions()

    try walk.decode(data) {
      predictors.values.update(repeating: 0, count: 4)
    } block: { (reader, index, column, row) throws(ScanFault) in
      let member = members[index]
      let coefficients = block.values
      coefficients.update(repeating: 0, count: 64)
      try Self.readBlock(
        &reader, member, predictor: &predictors.values[index], zigzag: zigzag.values,
        into: coefficients)
      guard let samples = member.samples else { return }
      InverseDCT.transform(
        coefficients, steps: member.steps.values,
        into: samples.values + (row &* samples.width &+ column) &* 8, stride: samples.width)
    } end: { () throws(ScanFault) in
    }
  }

  @inline(__always)
  private static func readBlock(
    _ reader: inout BitReader, _ member: Member, predictor: inout Int,
    zigzag: UnsafePointer<Int>, into coefficients: UnsafeMutablePointer<Int16>
  ) throws(ScanFault) {
    reader.refill()
    let size = try reader.symbol(member.dcTable)
    predictor &+= reader.signedValue(size)
    guard let mean = Int16(exactly: predictor) else { throw .valueOutOfRange }
    coefficients[0] = mean

    let acTable = member.acTable
    let shortcuts = acTable.coefficients
    var index = 1
    repeat {
      reader.refillIfNeeded()
      let shortcut = shortcuts[
        Int(truncatingIfNeeded: reader.window &>> UInt64(64 &- HuffmanTable.lookupBits))]
      if shortcut != 0 {
        index &+= Int(shortcut &>> 8 & 255)
        guard index < 64 else { throw .coefficientOutsideBlock }
        coefficients[zigzag[index]] = Int16(truncatingIfNeeded: shortcut &>> 16)
        reader.skip(Int(shortcut & 255))
      } else {
        let symbol = try reader.symbol(acTable)
        if symbol == 0 { return }  // the rest is zero
        index &+= symbol &>> 4
        guard index < 64 else { throw .coefficientOutsideBlock }
        let size = symbol & 15
        // Size 0 here is a run of 16 zeros; other runs without a value do not exist.
        guard size != 0 || symbol == 0xf0 else { throw .unknownCode }
        coefficients[zigzag[index]] = Int16(truncatingIfNeeded: reader.signedValue(size))
      }
      index &+= 1
    } while index < 64
  }
}

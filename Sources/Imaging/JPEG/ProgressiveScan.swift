/// Decodes one scan of a progressive picture into the coefficients gathered so far.
///
/// Source: ITU-T T.81, section G.2.
struct ProgressiveScan {
  /// A component of the scan: its tables (absent where the scan needs none) and coefficients.
  struct Member {
    let dcTable: HuffmanTable?
    let acTable: HuffmanTable?
    /// Blocks of 64 coefficients in natural order.
    let coefficients: Plane<Int16>
  }

  let scan: JPEGScan
  let members: [Member]
  private let zigzag = Zigzag.places()

  init(scan: JPEGScan, members: [Member]) {
    self.scan = scan
    self.members = members
  }

  func decode(_ data: EntropyCodedData, walk: ScanWalk) throws(ImageError) {
    switch (scan.band.lowerBound == 0, scan.highBit == 0) {
    case (true, true): try decodeFirstDC(data, walk)
    case (true, false): try decodeDCRefinement(data, walk)
    case (false, true): try decodeFirstAC(data, walk)
    case (false, false): try decodeACRefinement(data, walk)
    }
  }

  private func block(_ member: Int, _ column: Int, _ row: Int) -> UnsafeMutablePointer<Int16> {
    let plane = members[member].coefficients
    return plane.values + (row &* plane.width &+ column &* 64)
  }

  private func decodeFirstDC(_ data: EntropyCodedData, _ walk: ScanWalk) throws(ImageError) {
    var predictors = [0, 0, 0, 0]
    try walk.decode(data) {
      predictors = [0, 0, 0, 0]
    } block: { (reader, member, column, row) throws(ScanFault) in
      guard let table = members[member].dcTable else { throw .unknownCode }
      reader.refill()
      predictors[member] &+= reader.signedValue(try reader.symbol(table))
      guard let mean = Int16(exactly: predictors[member] &<< scan.lowBit) else {
        throw .valueOutOfRange
      }
      block(member, column, row)[0] = mean
    } end: { () throws(ScanFault) in
    }
  }

  private func decodeDCRefinement(_ data: EntropyCodedData, _ walk: ScanWalk) throws(ImageError) {
    let bit = Int16(1) << Int16(scan.lowBit)
    try walk.decode(data) {
    } block: { (reader, member, column, row) throws(ScanFault) in
      reader.refillIfNeeded()
      if reader.bit() { block(member, column, row)[0] |= bit }
    } end: { () throws(ScanFault) in
    }
  }

  private func decodeFirstAC(_ data: EntropyCodedData, _ walk: ScanWalk) throws(ImageError) {
    guard let table = members[0].acTable else { return }
    let last = scan.band.upperBound
    // Blocks still to come whose band is empty.
    var emptyBlocks = 0
    try walk.decode(data) {
      emptyBlocks = 0
    } block: { (reader, member, column, row) throws(ScanFault) in
      if emptyBlocks > 0 {
        emptyBlocks &-= 1
        return
      }
      let coefficients = block(member, column, row)
      var index = scan.band.lowerBound
      while index <= last {
        reader.refillIfNeeded()
        let symbol = try reader.symbol(table)
        let run = symbol &>> 4
        let size = symbol & 15
        if size == 0, run < 15 {
          emptyBlocks = 1 &<< run &- 1 &+ reader.bits(run)
          return
        }
        index &+= run
        guard index <= last else { throw .coefficientOutsideBlock }
        guard let value = Int16(exactly: reader.signedValue(size) &<< scan.lowBit) else {
          throw .valueOutOfRange
        }
        coefficients[zigzag.values[index]] = value
        index &+= 1
      }
    } end: { () throws(ScanFault) in
      guard emptyBlocks == 0 else { throw .bandRunTooLong }
    }
  }

  private func decodeACRefinement(_ data: EntropyCodedData, _ walk: ScanWalk) throws(ImageError) {
    guard let table = members[0].acTable else { return }
    var emptyBlocks = 0
    try walk.decode(data) {
      emptyBlocks = 0
    } block: { (reader, member, column, row) throws(ScanFault) in
      let coefficients = block(member, column, row)
      var index = scan.band.lowerBound
      if emptyBlocks == 0 {
        emptyBlocks = try addCoefficients(&reader, table, to: coefficients, from: &index)
      }
      if emptyBlocks > 0 {
        refine(&reader, coefficients, from: &index, overZeros: 64)
        emptyBlocks &-= 1
      }
    } end: { () throws(ScanFault) in
      guard emptyBlocks == 0 else { throw .bandRunTooLong }
    }
  }

  /// Adds the coefficients that become non-zero with this bit, refining those they pass.
  ///
  /// Returns how many blocks, from this one on, have no more of them.
  @inline(__always)
  private func addCoefficients(
    _ reader: inout BitReader, _ table: HuffmanTable,
    to coefficients: UnsafeMutablePointer<Int16>, from index: inout Int
  ) throws(ScanFault) -> Int {
    while index <= scan.band.upperBound {
      reader.refillIfNeeded()
      let symbol = try reader.symbol(table)
      let run = symbol &>> 4
      let size = symbol & 15
      if size == 0, run < 15 { return 1 &<< run &+ reader.bits(run) }
      guard size <= 1 else { throw .valueOutOfRange }
      let isPositive = size == 1 && reader.bit()
      refine(&reader, coefficients, from: &index, overZeros: run)
      guard index <= scan.band.upperBound else { throw .coefficientOutsideBlock }
      if size == 1 {
        let magnitude = Int16(1) << Int16(scan.lowBit)
        coefficients[zigzag.values[index]] = isPositive ? magnitude : -magnitude
      }
      index &+= 1
    }
    return 0
  }

  /// Moves `index` past `zeros` zero coefficients to the next one, or to the end of the band, and
  /// gives each non-zero coefficient on the way its next bit.
  @inline(__always)
  private func refine(
    _ reader: inout BitReader, _ coefficients: UnsafeMutablePointer<Int16>, from index: inout Int,
    overZeros zeros: Int
  ) {
    let bit = Int16(1) << Int16(scan.lowBit)
    var zeros = zeros
    while index <= scan.band.upperBound {
      let place = zigzag.values[index]
      let value = coefficients[place]
      if value == 0 {
        if zeros == 0 { return }
        zeros &-= 1
      } else {
        reader.refillIfNeeded()
        if reader.bit(), value & bit == 0 {
          coefficients[place] = value > 0 ? value &+ bit : value &- bit
        }
      }
      index &+= 1
    }
  }
}

/// Decodes one scan of a progressive image into the coefficients gathered so far.
///
/// Source: ITU-T T.81, section G.2.
struct ProgressiveScan {
  /// A component of the scan: its tables (absent where the scan needs none) and coefficients.
  struct Member {
    let dcTable: HuffmanTable?
    let acTable: HuffmanTable?
    let blocks: ProgressiveBlocks
  }

  let scan: JPEGScan
  let members: [Member]
  private let zigzag = Zigzag.positions()

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
      members[member].blocks.coefficients(column, row)[0] = mean
    } end: { () throws(ScanFault) in
    }
  }

  private func decodeDCRefinement(_ data: EntropyCodedData, _ walk: ScanWalk) throws(ImageError) {
    let bit = Int16(1) << Int16(scan.lowBit)
    try walk.decode(data) {
    } block: { (reader, member, column, row) throws(ScanFault) in
      reader.refillIfNeeded()
      if reader.bit() { members[member].blocks.coefficients(column, row)[0] |= bit }
    } end: { () throws(ScanFault) in
    }
  }

  private func decodeFirstAC(_ data: EntropyCodedData, _ walk: ScanWalk) throws(ImageError) {
    guard let table = members[0].acTable else { return }
    let blocks = members[0].blocks
    let band = scan.band
    // Blocks still to come whose band is empty.
    var emptyBlocks = 0
    try walk.decode(data) {
      emptyBlocks = 0
    } block: { (reader, _, column, row) throws(ScanFault) in
      if emptyBlocks > 0 {
        emptyBlocks &-= 1
        return
      }
      let coefficients = blocks.coefficients(column, row)
      var positions = blocks.positions(column, row).pointee
      var index = band.lowerBound
      repeat {
        reader.refillIfNeeded()
        let symbol = try reader.symbol(table)
        let run = symbol &>> 4
        let size = symbol & 15
        if size == 0, run < 15 {
          emptyBlocks = 1 &<< run &- 1 &+ reader.bits(run)
          break
        }
        index &+= run
        guard index <= band.upperBound else { throw .coefficientOutsideBlock }
        if size > 0 {
          guard let value = Int16(exactly: reader.signedValue(size) &<< scan.lowBit) else {
            throw .valueOutOfRange
          }
          coefficients[zigzag.values[index]] = value
          positions |= 1 &<< UInt64(truncatingIfNeeded: index)
        }
        index &+= 1
      } while index <= band.upperBound
      blocks.positions(column, row).pointee = positions
    } end: { () throws(ScanFault) in
      guard emptyBlocks == 0 else { throw .bandRunTooLong }
    }
  }

  private func decodeACRefinement(_ data: EntropyCodedData, _ walk: ScanWalk) throws(ImageError) {
    guard let table = members[0].acTable else { return }
    let blocks = members[0].blocks
    let band =
      Self.positions(from: scan.band.lowerBound) & ~Self.positions(from: scan.band.upperBound + 1)
    var emptyBlocks = 0
    try walk.decode(data) {
      emptyBlocks = 0
    } block: { (reader, _, column, row) throws(ScanFault) in
      let coefficients = blocks.coefficients(column, row)
      let positions = blocks.positions(column, row)
      // What is still to be visited: coefficients that have bits already, and zeros.
      var known = positions.pointee & band
      var zeros = band & ~known
      while emptyBlocks == 0, known | zeros != 0 {
        reader.refillIfNeeded()
        let symbol = try reader.symbol(table)
        let run = symbol &>> 4
        let size = symbol & 15
        if size == 0, run < 15 {
          emptyBlocks = 1 &<< run &+ reader.bits(run)
          break
        }
        guard size <= 1 else { throw .valueOutOfRange }
        let isPositive = size == 1 && reader.bit()
        // The zero behind `run` others is where the coefficient goes, or the last of a run of 16.
        for _ in 0..<run { zeros &= zeros &- 1 }
        guard zeros != 0 else { throw .coefficientOutsideBlock }
        let index = zeros.trailingZeroBitCount
        let rest = ~1 &<< UInt64(truncatingIfNeeded: index)
        refine(&reader, coefficients, known & ~rest)
        known &= rest
        zeros &= rest
        if size == 1 {
          let magnitude = Int16(1) << Int16(scan.lowBit)
          coefficients[zigzag.values[index]] = isPositive ? magnitude : -magnitude
          positions.pointee |= 1 &<< UInt64(truncatingIfNeeded: index)
        }
      }
      if emptyBlocks > 0 {
        refine(&reader, coefficients, known)
        emptyBlocks &-= 1
      }
    } end: { () throws(ScanFault) in
      guard emptyBlocks == 0 else { throw .bandRunTooLong }
    }
  }

  /// Gives each coefficient at these places its next bit.
  @inline(__always)
  private func refine(
    _ reader: inout BitReader, _ coefficients: UnsafeMutablePointer<Int16>, _ positions: UInt64
  ) {
    var positions = positions
    while positions != 0 {
      reader.refillIfNeeded()
      let place = zigzag.values[positions.trailingZeroBitCount]
      let sign = coefficients[place] &>> 15  // 0 or -1
      let bit = Int16(truncatingIfNeeded: reader.bits(1) &<< scan.lowBit)
      coefficients[place] &+= (bit ^ sign) &- sign
      positions &= positions &- 1
    }
  }

  /// The places from `index`, at most 64, to the end of a block.
  private static func positions(from index: Int) -> UInt64 { ~0 << UInt64(index) }
}

/// The coefficients of a component of a progressive image, gathered scan by scan.
struct ProgressiveBlocks {
  /// Blocks of 64 coefficients in natural order.
  private let coefficients: Plane<Int16>
  /// By block: the places in zigzag order, a bit each, of its coefficients other than 0, the mean
  /// left out.
  private let positions: Plane<UInt64>

  init(columns: Int, rows: Int) {
    coefficients = Plane(width: 64 * columns, height: rows)
    positions = Plane(width: columns, height: rows)
  }

  @inline(__always)
  func coefficients(_ column: Int, _ row: Int) -> UnsafeMutablePointer<Int16> {
    coefficients.values + (row &* coefficients.width &+ column &* 64)
  }

  @inline(__always)
  func positions(_ column: Int, _ row: Int) -> UnsafeMutablePointer<UInt64> {
    positions.values + (row &* positions.width &+ column)
  }
}

/// The order of a scan's blocks, and the ends of its restart intervals.
struct ScanWalk {
  /// A component of the scan, with its number of blocks per MCU.
  struct Member {
    let columns: Int
    let rows: Int
  }

  let members: [Member]
  let mcusPerRow: Int
  let mcuRows: Int
  /// MCUs between restart markers, 0 for none.
  let restartInterval: Int

  init(_ scan: JPEGScan, of frame: JPEGFrame, restartInterval: Int) {
    self.restartInterval = restartInterval
    if scan.members.count == 1 {
      // A scan of one component sends only the blocks that hold samples, row by row.
      let component = frame.components[scan.members[0].component]
      members = [Member(columns: 1, rows: 1)]
      mcusPerRow = component.blocksPerRow
      mcuRows = component.blockRows
    } else {
      members = scan.members.map {
        let component = frame.components[$0.component]
        return Member(columns: component.horizontalFactor, rows: component.verticalFactor)
      }
      mcusPerRow = frame.mcusPerRow
      mcuRows = frame.mcuRows
    }
  }

  /// Visits each block of the scan with a reader positioned at its first bit.
  ///
  /// - Parameters:
  ///   - begin: called at the start of each restart interval
  ///   - block: decodes one block: member of the scan, column and row of the block
  ///   - end: called at the end of each restart interval
  @inline(__always)
  func decode(
    _ data: EntropyCodedData, begin: () -> Void,
    block: (inout BitReader, _ member: Int, _ column: Int, _ row: Int) throws(ScanFault) -> Void,
    end: () throws(ScanFault) -> Void
  ) throws(ImageError) {
    let mcuCount = mcusPerRow * mcuRows
    let mcusPerInterval = restartInterval == 0 ? mcuCount : restartInterval
    let expected = mcuCount.dividedRoundingUp(by: mcusPerInterval)
    guard data.intervals.count == expected else {
      throw .damaged(
        .jpeg, "a scan of \(expected) restart intervals holds \(data.intervals.count)")
    }
    var mcu = 0
    for interval in data.intervals {
      let last = min(mcu + mcusPerInterval, mcuCount)
      begin()
      do throws(ScanFault) {
        try data.bytes.withUnsafeBufferPointer { (bytes) throws(ScanFault) in
          guard let base = bytes.baseAddress else { throw .endOfData }
          var reader = BitReader(base + interval.lowerBound)
          try decode(&reader, mcus: mcu..<last, bitCount: 8 * interval.count, block: block)
        }
        try end()
      } catch {
        throw .damaged(.jpeg, "\(error.reason) (MCUs \(mcu) to \(last - 1) of \(mcuCount))")
      }
      mcu = last
    }
  }

  @inline(__always)
  private func decode(
    _ reader: inout BitReader, mcus: Range<Int>, bitCount: Int,
    block: (inout BitReader, _ member: Int, _ column: Int, _ row: Int) throws(ScanFault) -> Void
  ) throws(ScanFault) {
    var row = mcus.lowerBound / mcusPerRow
    var column = mcus.lowerBound % mcusPerRow
    for _ in mcus {
      for index in members.indices {
        let member = members[index]
        for y in 0..<member.rows {
          for x in 0..<member.columns {
            try block(
              &reader, index, column &* member.columns &+ x, row &* member.rows &+ y)
          }
        }
      }
      guard reader.position <= bitCount else { throw .endOfData }
      column &+= 1
      if column == mcusPerRow {
        column = 0
        row &+= 1
      }
    }
    guard bitCount - reader.position < 8 else { throw .surplusData }
  }
}

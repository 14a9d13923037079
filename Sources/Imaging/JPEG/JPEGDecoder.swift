/// Decodes baseline, extended sequential and progressive JPEG files with Huffman coding and 8 bits
/// per sample, to the same pixels as libjpeg-turbo and Pillow.
///
/// Stricter than those: whatever they warn about and conceal is an error here. Not supported, and
/// rejected by name: 12 bits, lossless, hierarchical and arithmetic coding, heights given by DNL.
///
/// Source: ITU-T T.81; JFIF 1.02; Adobe technical note 5116.
struct JPEGDecoder {
  private(set) var header: JPEGHeaderReader

  /// `bytes` begins with a start-of-image marker.
  init(_ bytes: UnsafeBufferPointer<UInt8>, limits: ImageLimits) {
    header = JPEGHeaderReader(bytes, limits: limits)
  }

  /// The image as stored, without its orientation.
  mutating func decode() throws(ImageError) -> RGBImage {
    let frame = try readFrame()
    let planes = frame.components.map {
      Plane<UInt8>(
        width: frame.mcusPerRow * $0.horizontalFactor * 8,
        height: frame.mcuRows * $0.verticalFactor * 8)
    }
    try readScans(of: frame, into: planes)
    return try RGBImage(frame: frame, planes: planes, colors: colors(of: frame))
  }

  /// Reads everything that ``decode()`` reads, with the same errors, but computes no samples.
  mutating func check() throws(ImageError) -> JPEGFrame {
    let frame = try readFrame()
    try readScans(of: frame, into: nil)
    return frame
  }

  private mutating func readFrame() throws(ImageError) -> JPEGFrame {
    let frame = try header.readToFirstScan()
    // Each block takes at least one bit, so a few bytes cannot ask for much memory.
    guard frame.blockCount <= 8 * (header.bytes.count - header.offset) else {
      throw .truncated(
        .jpeg,
        "\(header.bytes.count) bytes cannot hold \(frame.width) x \(frame.height) pixels")
    }
    return frame
  }

  /// - Parameter planes: the destination of samples by component; nil if not needed
  private mutating func readScans(
    of frame: JPEGFrame, into planes: [Plane<UInt8>]?
  ) throws(ImageError) {
    if frame.isProgressive {
      try readProgressive(frame, into: planes)
    } else {
      try readSequential(frame, into: planes)
    }
  }

  private mutating func readSequential(
    _ frame: JPEGFrame, into planes: [Plane<UInt8>]?
  ) throws(ImageError) {
    var missing = Set(frame.components.indices)
    while let scan = try header.nextScan() {
      var members: [SequentialScan.Member] = []
      for member in scan.members {
        guard missing.remove(member.component) != nil else {
          throw header.damaged("a second scan of component \(member.component)")
        }
        members.append(
          SequentialScan.Member(
            dcTable: try dcTable(member.dcTable), acTable: try acTable(member.acTable),
            steps: try quantizer(frame.components[member.component]),
            samples: planes?[member.component]))
      }
      let data = try EntropyCodedData(header.bytes, offset: &header.offset)
      try SequentialScan(members: members).decode(
        data, walk: ScanWalk(scan, of: frame, restartInterval: header.restartInterval))
    }
    guard missing.isEmpty else {
      throw .truncated(.jpeg, "\(missing.count) colour components were never sent")
    }
  }

  private mutating func readProgressive(
    _ frame: JPEGFrame, into planes: [Plane<UInt8>]?
  ) throws(ImageError) {
    let blocks = frame.components.map {
      ProgressiveBlocks(
        columns: frame.mcusPerRow * $0.horizontalFactor, rows: frame.mcuRows * $0.verticalFactor)
    }
    var progress = ProgressiveProgress(componentCount: blocks.count)
    var steps: [Plane<Int16>?] = Array(repeating: nil, count: blocks.count)
    var scanCount = 0
    while let scan = try header.nextScan() {
      scanCount += 1
      guard scanCount <= header.limits.scanCount else {
        throw header.damaged("more than \(header.limits.scanCount) scans")
      }
      try progress.record(scan)
      var members: [ProgressiveScan.Member] = []
      for member in scan.members {
        // The steps in force at the component's first scan.
        if steps[member.component] == nil {
          steps[member.component] = try quantizer(frame.components[member.component])
        }
        let isDC = scan.band.lowerBound == 0
        members.append(
          ProgressiveScan.Member(
            dcTable: isDC && scan.highBit == 0 ? try dcTable(member.dcTable) : nil,
            acTable: isDC ? nil : try acTable(member.acTable),
            blocks: blocks[member.component]))
      }
      let data = try EntropyCodedData(header.bytes, offset: &header.offset)
      try ProgressiveScan(scan: scan, members: members).decode(
        data, walk: ScanWalk(scan, of: frame, restartInterval: header.restartInterval))
    }
    try progress.requireComplete()
    guard let planes else { return }
    for index in planes.indices {
      guard let steps = steps[index] else { continue }
      Self.transform(blocks[index], steps, of: frame.components[index], into: planes[index])
    }
  }

  private static func transform(
    _ blocks: ProgressiveBlocks, _ steps: Plane<Int16>, of component: JPEGComponent,
    into samples: Plane<UInt8>
  ) {
    for row in 0..<component.blockRows {
      for column in 0..<component.blocksPerRow {
        InverseDCT.transform(
          blocks.coefficients(column, row), steps: steps.values,
          into: samples.values + (row * samples.width + column) * 8, stride: samples.width)
      }
    }
  }

  // MARK: - Tables and colours

  private func dcTable(_ index: Int) throws(ImageError) -> HuffmanTable {
    guard let table = header.dcTables[index] else {
      throw header.damaged("a scan uses DC table \(index), which is not defined")
    }
    return table
  }

  private func acTable(_ index: Int) throws(ImageError) -> HuffmanTable {
    guard let table = header.acTables[index] else {
      throw header.damaged("a scan uses AC table \(index), which is not defined")
    }
    return table
  }

  private func quantizer(_ component: JPEGComponent) throws(ImageError) -> Plane<Int16> {
    guard let steps = header.quantizers[component.quantizer] else {
      throw header.damaged(
        "a scan uses quantization table \(component.quantizer), which is not defined")
    }
    let plane = Plane<Int16>(width: 64, height: 1)
    for (index, step) in steps.enumerated() {
      plane.values[index] = Int16(truncatingIfNeeded: step)
    }
    return plane
  }

  /// Infers the colour space by libjpeg's rules: the file does not always state it.
  private func colors(of frame: JPEGFrame) -> JPEGColors {
    switch frame.components.count {
    case 1: return .grey
    case 4: return header.adobeTransform.map { $0 == 0 ? .cmyk : .ycck } ?? .cmyk
    default:
      if header.hasJFIF { return .ycc }
      if let transform = header.adobeTransform { return transform == 0 ? .rgb : .ycc }
      return frame.components.map(\.identifier).elementsEqual("RGB".utf8) ? .rgb : .ycc
    }
  }
}

/// The progress of a progressive image: which bits of which coefficients have arrived.
private struct ProgressiveProgress {
  /// By component and zigzag position: the lowest bit sent, nil if none.
  private var lowestBit: [[Int?]]

  init(componentCount: Int) {
    lowestBit = Array(repeating: Array(repeating: nil, count: 64), count: componentCount)
  }

  /// Rejects a scan that repeats or skips bits.
  mutating func record(_ scan: JPEGScan) throws(ImageError) {
    for member in scan.members {
      if scan.band.lowerBound > 0, lowestBit[member.component][0] == nil {
        throw .damaged(.jpeg, "a progressive scan before the component's means")
      }
      for place in scan.band {
        let expected = scan.highBit == 0 ? nil : scan.highBit
        guard lowestBit[member.component][place] == expected else {
          throw .damaged(.jpeg, "progressive scans that repeat or skip bits")
        }
        lowestBit[member.component][place] = scan.lowBit
      }
    }
  }

  func requireComplete() throws(ImageError) {
    guard lowestBit.allSatisfy({ $0.allSatisfy { $0 == 0 } }) else {
      throw .truncated(.jpeg, "progressive scans are missing")
    }
  }
}

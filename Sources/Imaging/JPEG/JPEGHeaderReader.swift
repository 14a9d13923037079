/// Reads a JPEG's marker segments: tables, frame and scan headers, metadata.
///
/// Source: ITU-T T.81, annex B.
struct JPEGHeaderReader {
  let bytes: UnsafeBufferPointer<UInt8>
  let limits: ImageLimits
  /// Whether Huffman tables are needed.
  private let buildsTables: Bool
  /// Offset of the next byte to read.
  var offset = 2
  private(set) var frame: JPEGFrame?
  /// Quantization steps by table, in natural (row by row) order.
  private(set) var quantizers: [[UInt16]?] = Array(repeating: nil, count: 4)
  private(set) var dcTables: [HuffmanTable?] = Array(repeating: nil, count: 4)
  private(set) var acTables: [HuffmanTable?] = Array(repeating: nil, count: 4)
  /// MCUs between restart markers, 0 for none.
  private(set) var restartInterval = 0
  private(set) var hasJFIF = false
  /// The colour transform of an Adobe segment.
  private(set) var adobeTransform: UInt8?
  private var storedOrientation: Orientation?

  var orientation: Orientation { storedOrientation ?? .up }

  /// `bytes` begins with a start-of-image marker.
  init(_ bytes: UnsafeBufferPointer<UInt8>, limits: ImageLimits, buildsTables: Bool = true) {
    self.bytes = bytes
    self.limits = limits
    self.buildsTables = buildsTables
  }

  /// Reads up to the first scan header and stops before it.
  mutating func readToFirstScan() throws(ImageError) -> JPEGFrame {
    while true {
      let start = offset
      let marker = try nextMarker()
      if marker == Marker.startOfScan {
        offset = start
        guard let frame else { throw damaged("a scan before the frame header") }
        return frame
      }
      if marker == Marker.endOfImage { throw damaged("the image ends before its first scan") }
      try readSegment(marker)
    }
  }

  /// Reads up to and including the next scan header; nil at the end of the image.
  mutating func nextScan() throws(ImageError) -> JPEGScan? {
    while true {
      let marker = try nextMarker()
      switch marker {
      case Marker.startOfScan: return try readScanHeader()
      case Marker.endOfImage: return nil
      default: try readSegment(marker)
      }
    }
  }

  func damaged(_ reason: String) -> ImageError { .damaged(.jpeg, "\(reason) (byte \(offset))") }

  // MARK: - Markers and segments

  enum Marker {
    static let endOfImage: UInt8 = 0xd9
    static let startOfScan: UInt8 = 0xda
  }

  private mutating func nextMarker() throws(ImageError) -> UInt8 {
    guard offset < bytes.count else {
      throw .truncated(.jpeg, "the file ends without an end-of-image marker")
    }
    guard bytes[offset] == 0xff else {
      throw damaged("a marker expected, byte 0x\(hexadecimal(bytes[offset])) found")
    }
    // Any number of 0xff bytes may come before the marker's code.
    while offset < bytes.count, bytes[offset] == 0xff { offset += 1 }
    guard offset < bytes.count else { throw .truncated(.jpeg, "the file ends in a marker") }
    offset += 1
    return bytes[offset - 1]
  }

  private mutating func readSegment(_ marker: UInt8) throws(ImageError) {
    switch marker {
    case 0x01: return  // TEM has no segment
    case 0x00, 0x02...0xbf, 0xd0...0xd8:
      throw damaged("marker 0xff\(hexadecimal(marker)) out of place")
    default: break
    }
    var segment = try takeSegment(marker)
    switch marker {
    case 0xc0, 0xc1, 0xc2: try readFrameHeader(&segment, isProgressive: marker == 0xc2)
    case 0xc4: if buildsTables { try readHuffmanTables(&segment) }
    case 0xdb: try readQuantizers(&segment)
    case 0xdd: restartInterval = try segment.integer16()
    case 0xe0: hasJFIF = hasJFIF || segment.starts(with: "JFIF\0")
    case 0xe1:
      if storedOrientation == nil, segment.starts(with: "Exif\0\0") {
        storedOrientation = Orientation(tiff: segment.bytes.dropFirst(6))
      }
    case 0xee:
      if segment.starts(with: "Adobe"), segment.bytes.count >= 12 {
        adobeTransform = segment.bytes[segment.bytes.startIndex + 11]
      }
    case 0xe2...0xed, 0xef, 0xfe, 0xf0...0xfd: break
    default: throw .unsupported(.jpeg, Self.nameOfUnsupported(marker))
    }
  }

  /// The bytes after a segment's length.
  private mutating func takeSegment(_ marker: UInt8) throws(ImageError) -> SegmentReader {
    guard offset <= bytes.count - 2 else { throw .truncated(.jpeg, "the file ends in a segment") }
    let length = Int(bytes[offset]) << 8 | Int(bytes[offset + 1])
    guard length >= 2 else {
      throw damaged("segment 0xff\(hexadecimal(marker)) declares \(length) bytes")
    }
    guard length <= bytes.count - offset else {
      throw .truncated(.jpeg, "segment 0xff\(hexadecimal(marker)) of \(length) bytes is cut off")
    }
    let body = bytes[offset + 2..<offset + length]
    offset += length
    return SegmentReader(marker: marker, bytes: body)
  }

  private static func nameOfUnsupported(_ marker: UInt8) -> String {
    switch marker {
    case 0xc3: "lossless coding"
    case 0xc5, 0xc6, 0xc7, 0xcd, 0xce, 0xcf, 0xde, 0xdf: "hierarchical coding"
    case 0xc9, 0xca, 0xcb, 0xcc: "arithmetic coding"
    case 0xdc: "a number of lines after the first scan (DNL)"
    default: "marker 0xff\(hexadecimal(marker))"
    }
  }

  // MARK: - Tables

  private mutating func readQuantizers(_ segment: inout SegmentReader) throws(ImageError) {
    repeat {
      let selector = try segment.byte()
      guard selector & 15 < 4, selector >> 4 < 2 else {
        throw damaged("quantization table selector 0x\(hexadecimal(selector))")
      }
      var steps = [UInt16](repeating: 0, count: 64)
      for index in 0..<64 {
        let step = selector >> 4 == 0 ? Int(try segment.byte()) : try segment.integer16()
        guard step > 0 else { throw damaged("a quantization step of 0") }
        steps[Zigzag.naturalOrder[index]] = UInt16(step)
      }
      quantizers[Int(selector & 15)] = steps
    } while !segment.isEmpty
  }

  private mutating func readHuffmanTables(_ segment: inout SegmentReader) throws(ImageError) {
    repeat {
      let selector = try segment.byte()
      guard selector & 15 < 4, selector >> 4 < 2 else {
        throw damaged("Huffman table selector 0x\(hexadecimal(selector))")
      }
      let isDC = selector >> 4 == 0
      let counts = try segment.take(16)
      let symbols = try segment.take(counts.reduce(0) { $0 + Int($1) })
      guard let table = HuffmanTable(codeCounts: counts, symbols: symbols, isDC: isDC) else {
        throw damaged("a Huffman table with more codes than fit")
      }
      if isDC {
        dcTables[Int(selector & 15)] = table
      } else {
        acTables[Int(selector & 15)] = table
      }
    } while !segment.isEmpty
  }

  // MARK: - Frame and scan headers

  private mutating func readFrameHeader(
    _ segment: inout SegmentReader, isProgressive: Bool
  ) throws(ImageError) {
    guard frame == nil else { throw damaged("a second frame header") }
    let precision = try segment.byte()
    guard precision == 8 else {
      throw .unsupported(.jpeg, "a precision of \(precision) bits a sample")
    }
    var frame = JPEGFrame()
    frame.isProgressive = isProgressive
    frame.height = try segment.integer16()
    frame.width = try segment.integer16()
    guard frame.width > 0 else { throw damaged("a width of 0") }
    guard frame.height > 0 else {
      throw .unsupported(.jpeg, "a height given after the first scan (DNL)")
    }
    try limits.check(width: frame.width, height: frame.height)
    let count = Int(try segment.byte())
    guard 1...4 ~= count else { throw damaged("\(count) colour components") }
    guard count != 2 else { throw .unsupported(.jpeg, "an image of 2 colour components") }
    for _ in 0..<count { frame.components.append(try readComponent(&segment)) }
    guard segment.isEmpty else { throw damaged("a frame header longer than its components") }
    guard Set(frame.components.map(\.identifier)).count == count else {
      throw damaged("two colour components with one identifier")
    }
    try setSizes(of: &frame)
    self.frame = frame
  }

  private func readComponent(_ segment: inout SegmentReader) throws(ImageError) -> JPEGComponent {
    let identifier = try segment.byte()
    let factors = try segment.byte()
    let quantizer = try segment.byte()
    guard 1...4 ~= factors >> 4, 1...4 ~= factors & 15 else {
      throw damaged("sampling factors \(factors >> 4) x \(factors & 15)")
    }
    guard quantizer < 4 else { throw damaged("quantization table \(quantizer)") }
    return JPEGComponent(
      identifier: identifier, horizontalFactor: Int(factors >> 4),
      verticalFactor: Int(factors & 15), quantizer: Int(quantizer))
  }

  private func setSizes(of frame: inout JPEGFrame) throws(ImageError) {
    let horizontal = frame.horizontalFactor
    let vertical = frame.verticalFactor
    for index in frame.components.indices {
      let component = frame.components[index]
      guard horizontal % component.horizontalFactor == 0, vertical % component.verticalFactor == 0
      else {
        throw .unsupported(
          .jpeg,
          "sampling \(component.horizontalFactor) x \(component.verticalFactor) beside "
            + "\(horizontal) x \(vertical)")
      }
      frame.components[index].width =
        (frame.width * component.horizontalFactor).dividedRoundingUp(by: horizontal)
      frame.components[index].height =
        (frame.height * component.verticalFactor).dividedRoundingUp(by: vertical)
    }
  }

  private mutating func readScanHeader() throws(ImageError) -> JPEGScan {
    var segment = try takeSegment(Marker.startOfScan)
    guard let frame else { throw damaged("a scan before the frame header") }
    let count = Int(try segment.byte())
    guard 1...frame.components.count ~= count else {
      throw damaged("a scan of \(count) components")
    }
    var members: [JPEGScan.Member] = []
    for _ in 0..<count {
      let identifier = try segment.byte()
      let tables = try segment.byte()
      guard let index = frame.components.firstIndex(where: { $0.identifier == identifier }),
        !members.contains(where: { $0.component == index })
      else { throw damaged("a scan of component \(identifier), absent or named twice") }
      guard tables >> 4 < 4, tables & 15 < 4 else {
        throw damaged("Huffman tables 0x\(hexadecimal(tables))")
      }
      members.append(
        JPEGScan.Member(
          component: index, dcTable: Int(tables >> 4), acTable: Int(tables & 15)))
    }
    let blocks = members.reduce(0) {
      $0 + frame.components[$1.component].horizontalFactor
        * frame.components[$1.component].verticalFactor
    }
    guard count == 1 || blocks <= 10 else { throw damaged("\(blocks) blocks in an MCU") }
    let first = Int(try segment.byte())
    let last = Int(try segment.byte())
    let bits = try segment.byte()
    guard segment.isEmpty else { throw damaged("a scan header longer than its components") }
    guard frame.isProgressive else {
      // A sequential scan has all coefficients, whatever these three bytes say.
      return JPEGScan(members: members, band: 0...63, highBit: 0, lowBit: 0)
    }
    guard first <= last, last < 64, first > 0 ? count == 1 : last == 0 else {
      throw damaged("a progressive scan of coefficients \(first) to \(last)")
    }
    guard bits & 15 < 14, bits >> 4 == 0 || bits >> 4 == bits & 15 + 1 else {
      throw damaged("a progressive scan of bits \(bits >> 4) to \(bits & 15)")
    }
    return JPEGScan(
      members: members, band: first...last, highBit: Int(bits >> 4), lowBit: Int(bits & 15))
  }
}

/// Reads a segment's fields in order.
struct SegmentReader {
  let marker: UInt8
  private(set) var bytes: Slice<UnsafeBufferPointer<UInt8>>

  init(marker: UInt8, bytes: Slice<UnsafeBufferPointer<UInt8>>) {
    self.marker = marker
    self.bytes = bytes
  }

  var isEmpty: Bool { bytes.isEmpty }

  func starts(with text: String) -> Bool { bytes.starts(with: text.utf8) }

  mutating func take(_ count: Int) throws(ImageError) -> [UInt8] {
    guard count <= bytes.count else {
      throw .damaged(.jpeg, "segment 0xff\(hexadecimal(marker)) is too short for its fields")
    }
    defer { bytes = bytes.dropFirst(count) }
    return Array(bytes.prefix(count))
  }

  mutating func byte() throws(ImageError) -> UInt8 {
    guard let first = bytes.popFirst() else {
      throw .damaged(.jpeg, "segment 0xff\(hexadecimal(marker)) is too short for its fields")
    }
    return first
  }

  mutating func integer16() throws(ImageError) -> Int {
    let high = Int(try byte())
    return high << 8 | Int(try byte())
  }
}

/// The contents of a JPEG's frame header.
struct JPEGFrame {
  var width = 0
  var height = 0
  var isProgressive = false
  var components: [JPEGComponent] = []

  /// Largest sampling factors of any component; an MCU covers 8 times as many pixels.
  var horizontalFactor: Int { components.map(\.horizontalFactor).max() ?? 1 }
  var verticalFactor: Int { components.map(\.verticalFactor).max() ?? 1 }
  /// MCUs of an interleaved scan.
  var mcusPerRow: Int { width.dividedRoundingUp(by: 8 * horizontalFactor) }
  var mcuRows: Int { height.dividedRoundingUp(by: 8 * verticalFactor) }
  /// Blocks of all components, without those that only pad the last MCUs.
  var blockCount: Int { components.reduce(0) { $0 + $1.blocksPerRow * $1.blockRows } }
}

/// One colour component of a frame.
struct JPEGComponent {
  let identifier: UInt8
  /// Sampling factors, 1...4: blocks of this component in an MCU.
  let horizontalFactor: Int
  let verticalFactor: Int
  /// The index of the quantization table.
  let quantizer: Int
  /// Samples that belong to the image.
  var width = 0
  var height = 0

  /// Blocks that hold samples of the image.
  var blocksPerRow: Int { width.dividedRoundingUp(by: 8) }
  var blockRows: Int { height.dividedRoundingUp(by: 8) }
}

extension Int {
  func dividedRoundingUp(by divisor: Int) -> Int { (self + divisor - 1) / divisor }
}

/// The contents of a scan header.
struct JPEGScan {
  /// A component of the scan, by its index in the frame, and its Huffman tables.
  struct Member {
    let component: Int
    let dcTable: Int
    let acTable: Int
  }

  let members: [Member]
  /// The coefficients sent, in zigzag order.
  let band: ClosedRange<Int>
  /// Bit positions of successive approximation: the previous scan's, or 0, and this scan's.
  let highBit: Int
  let lowBit: Int
}

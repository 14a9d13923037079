/// The position of the first stored row and column in the image: the EXIF tag 0x0112.
public enum Orientation: Int, Sendable {
  case up = 1
  case mirrored = 2
  case upsideDown = 3
  case mirroredUpsideDown = 4
  case transposed = 5
  /// Rotate by a quarter turn clockwise to see the image upright.
  case turnClockwise = 6
  case transposedUpsideDown = 7
  /// Rotate by a quarter turn counter-clockwise to see the image upright.
  case turnCounterclockwise = 8

  /// Rows become columns.
  var swapsAxes: Bool { rawValue >= 5 }

  /// Reads the orientation of a TIFF structure, the body of an EXIF block.
  ///
  /// Only the first directory is read. A damaged structure, or one without the tag, gives `.up`:
  /// metadata never costs the pixels.
  init(tiff bytes: Slice<UnsafeBufferPointer<UInt8>>) {
    self = Self.read(UnsafeBufferPointer(rebasing: bytes)) ?? .up
  }

  private static func read(_ tiff: UnsafeBufferPointer<UInt8>) -> Orientation? {
    guard tiff.count >= 8 else { return nil }
    let isLittleEndian = tiff.starts(with: "II".utf8)
    guard isLittleEndian || tiff.starts(with: "MM".utf8) else { return nil }

    func integer(at offset: Int, byteCount: Int) -> Int? {
      guard offset >= 0, offset <= tiff.count - byteCount else { return nil }
      let field = tiff[offset..<offset + byteCount]
      return isLittleEndian
        ? field.reversed().reduce(0) { $0 << 8 | Int($1) } : field.reduce(0) { $0 << 8 | Int($1) }
    }

    guard integer(at: 2, byteCount: 2) == 42,
      let directory = integer(at: 4, byteCount: 4),
      let entryCount = integer(at: directory, byteCount: 2)
    else { return nil }
    for entry in 0..<entryCount {
      let offset = directory + 2 + 12 * entry
      guard let tag = integer(at: offset, byteCount: 2) else { return nil }
      guard tag == 0x0112 else { continue }
      // 1, 3 and 4 are TIFF's types of 1, 2 and 4 bytes.
      guard let type = integer(at: offset + 2, byteCount: 2),
        let byteCount = [1: 1, 3: 2, 4: 4][type],
        let value = integer(at: offset + 8, byteCount: byteCount)
      else { return nil }
      return Orientation(rawValue: value)
    }
    return nil
  }
}

extension RGBImage {
  /// Returns the upright image of one stored with this orientation.
  public func applying(_ orientation: Orientation) -> RGBImage {
    // Output pixel (x, y) is the stored pixel origin + x * alongRow + y * alongColumn.
    let last = width * height - 1
    let (origin, alongRow, alongColumn) =
      switch orientation {
      case .up: (0, 1, width)
      case .mirrored: (width - 1, -1, width)
      case .upsideDown: (last, -1, -width)
      case .mirroredUpsideDown: (last - (width - 1), 1, -width)
      case .transposed: (0, width, 1)
      case .turnClockwise: (last - (width - 1), -width, 1)
      case .transposedUpsideDown: (last, -width, -1)
      case .turnCounterclockwise: (width - 1, width, -1)
      }
    if orientation == .up { return self }
    let outputWidth = orientation.swapsAxes ? height : width
    let outputHeight = orientation.swapsAxes ? width : height
    let turned = [UInt8](unsafeUninitializedCapacity: pixels.count) { output, initializedCount in
      pixels.withUnsafeBufferPointer { input in
        var target = 0
        for y in 0..<outputHeight {
          var source = 3 * (origin + y * alongColumn)
          for _ in 0..<outputWidth {
            output[target] = input[source]
            output[target + 1] = input[source + 1]
            output[target + 2] = input[source + 2]
            target += 3
            source += 3 * alongRow
          }
        }
        initializedCount = target
      }
    }
    return RGBImage(width: outputWidth, height: outputHeight, pixels: turned)
  }
}

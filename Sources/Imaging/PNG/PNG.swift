import CPNG
import Glibc

/// Decodes a PNG file with libpng's row interface.
///
/// All colour types and bit depths, interlaced or not. Palettes and grey become RGB, transparency
/// is composited over white. Gamma and colour profiles are not applied.
func decodePNG(
  _ bytes: UnsafeBufferPointer<UInt8>, limits: ImageLimits
) throws(ImageError) -> RGBImage {
  let header = try PNGHeader(bytes)
  try limits.check(width: header.width, height: header.height)
  // Deflate compresses at most 1,032 bytes to one.
  guard header.rowByteCount <= 1_032 * bytes.count / header.height else {
    throw .truncated(
      .png, "\(bytes.count) bytes cannot hold \(header.width) x \(header.height) pixels")
  }

  // libpng keeps the reader's address from call to call.
  let reader = UnsafeMutablePointer<spo_png_reader>.allocate(capacity: 1)
  defer {
    spo_png_close(reader)
    reader.deallocate()
  }
  var passes: Int32 = 0
  guard
    spo_png_open(
      reader, bytes.baseAddress, bytes.count, UInt32(header.width), UInt32(header.height)) == 1
  else { throw .damaged(.png, String(cString: spo_png_reader_message(reader))) }
  let rowByteCount = spo_png_start(reader, &passes)
  let channels = rowByteCount / header.width
  guard rowByteCount > 0 else {
    throw .damaged(.png, String(cString: spo_png_reader_message(reader)))
  }
  guard channels * header.width == rowByteCount,
    reader.pointee.color_count > 0 ? channels == 1 : channels == 3 || channels == 4
  else { throw .damaged(.png, "rows of \(rowByteCount) bytes for \(header.width) pixels") }

  var isComplete = false
  let samples = [UInt8](unsafeUninitializedCapacity: rowByteCount * header.height) {
    buffer, initializedCount in
    // Interlaced rows are combined with the buffer's contents, so it must be initialized.
    buffer.initialize(repeating: 0)
    isComplete =
      spo_png_read(reader, passes, buffer.baseAddress, rowByteCount, header.height) == 1
    initializedCount = buffer.count
  }
  guard isComplete else {
    throw .damaged(.png, String(cString: spo_png_reader_message(reader)))
  }
  let pixels: [UInt8]
  switch channels {
  case 1:
    let colors = withUnsafeBytes(of: reader.pointee.colors) {
      Array($0.prefix(4 * Int(reader.pointee.color_count)))
    }
    pixels = try lookedUp(samples, in: laidOverWhite(colors))
  case 4: pixels = laidOverWhite(samples)
  default: pixels = samples
  }
  return RGBImage(width: header.width, height: header.height, pixels: pixels)
}

/// RGB of indices into a palette of RGB colours.
private func lookedUp(_ indices: [UInt8], in palette: [UInt8]) throws(ImageError) -> [UInt8] {
  if let largest = indices.max(), 3 * Int(largest) >= palette.count {
    throw .damaged(
      .png, "palette index \(largest) of a palette of \(palette.count / 3) colours")
  }
  return [UInt8](unsafeUninitializedCapacity: 3 * indices.count) { output, initializedCount in
    for (pixel, index) in indices.enumerated() {
      for channel in 0..<3 {
        output[3 * pixel + channel] = palette[3 * Int(index) + channel]
      }
    }
    initializedCount = 3 * indices.count
  }
}

extension RGBImage {
  /// The image as a PNG file: 8-bit RGB, not interlaced.
  public func encodedAsPNG() throws(ImageError) -> [UInt8] {
    guard let columns = UInt32(exactly: width), let rows = UInt32(exactly: height) else {
      throw .notEncoded(.png, "\(width) x \(height) pixels")
    }
    var writer = spo_png_writer()
    let isWritten = spo_png_write(&writer, pixels, columns, rows) == 1
    defer { free(writer.bytes) }
    guard isWritten else {
      throw .notEncoded(.png, String(cString: spo_png_writer_message(&writer)))
    }
    return Array(UnsafeBufferPointer(start: writer.bytes, count: writer.byte_count))
  }
}

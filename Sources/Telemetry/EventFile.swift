public import Files
import Glibc

/// Curves and images for TensorBoard: one event file of a run.
///
/// Scalars are written as `simple_value`, images as encoded images. A resumed run opens a new file
/// in the same folder: TensorBoard reads all files of a folder as one run, and an old file may
/// end in a torn record. The new file begins by saying from which step on the older ones count no more,
/// so that what a killed run measured after its last checkpoint stands there once.
///
/// Source: formats of `event.proto` and `record_writer` of <https://github.com/tensorflow/tensorboard>
public final class EventFile {
  public var path: String { file.path }
  private let file: AppendFile
  private let now: () -> Double

  /// Begins a new event file in `folder`, which must be there.
  ///
  /// - Parameters:
  ///   - firstStep: what older files have of this step and later ones is forgotten.
  ///   - host: the part of the file's name that distinguishes machines.
  ///   - now: the wall time, in seconds since 1970.
  public init(
    folder: String, firstStep: Int = 0, host: String = hostName(),
    now: @escaping () -> Double = secondsSince1970
  ) throws(FileError) {
    self.now = now
    file = try Self.newFile("\(folder)/events.out.tfevents.\(Self.tenDigits(now())).\(host)")
    // The first record of every file.
    try append(field(3, bytes: "brain.Event:2".utf8), step: 0)
    // The start of a session.
    try append(field(7, bytes: field(1, 1)), step: firstStep)
  }

  public func append(_ tag: String, _ value: Float, step: Int) throws(FileError) {
    try appendSummary(
      field(1, bytes: tag.utf8) + key(2, .fixed32) + littleEndian(value.bitPattern), step: step)
  }

  /// Appends an image.
  ///
  /// - Parameter encoded: a PNG or JPEG file of three 8-bit channels.
  public func appendImage(
    _ tag: String, encoded: [UInt8], width: Int, height: Int, step: Int
  ) throws(FileError) {
    let image =
      field(1, height) + field(2, width) + field(3, 3) + field(4, bytes: encoded)
    try appendSummary(field(1, bytes: tag.utf8) + field(4, bytes: image), step: step)
  }

  /// Makes everything so far durable.
  public func sync() throws(FileError) { try file.sync() }

  private func appendSummary(_ value: [UInt8], step: Int) throws(FileError) {
    try append(field(5, bytes: field(1, bytes: value)), step: step)
  }

  /// Appends an event as one record: length, its checksum, event, its checksum.
  private func append(_ content: [UInt8], step: Int) throws(FileError) {
    let event =
      key(1, .fixed64) + littleEndian(now().bitPattern) + (step == 0 ? [] : field(2, step))
      + content
    let length = littleEndian(UInt64(event.count))
    try file.append(
      length + littleEndian(maskedChecksum(length)) + event + littleEndian(maskedChecksum(event)))
  }

  /// A file that was not there before: a number is added where the name is taken.
  private static func newFile(_ path: String) throws(FileError) -> AppendFile {
    var candidate = path
    var number = 2
    while access(candidate, F_OK) == 0 {
      candidate = "\(path).\(number)"
      number += 1
    }
    return try AppendFile(path: candidate, mustBeNew: true)
  }

  private static func tenDigits(_ seconds: Double) -> String {
    let digits = String(Int(seconds))
    return String(repeating: "0", count: max(0, 10 - digits.count)) + digits
  }
}

/// The name of this machine.
public func hostName() -> String {
  var name = [CChar](repeating: 0, count: 256)
  guard gethostname(&name, name.count - 1) == 0, name[0] != 0 else { return "localhost" }
  return String(decoding: name.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
}

/// The time on the wall.
public func secondsSince1970() -> Double {
  var time = timespec()
  clock_gettime(CLOCK_REALTIME, &time)
  return Double(time.tv_sec) + Double(time.tv_nsec) * 1e-9
}

/// The checksum of event files: rotated and shifted, since they may hold checksums of their own.
package func maskedChecksum(_ bytes: [UInt8]) -> UInt32 {
  let crc = crc32c(bytes)
  return (crc >> 15 | crc << 17) &+ 0xA282_EAD8
}

// MARK: - Protocol buffers

private enum WireType: UInt8 {
  case varint = 0
  case fixed64 = 1
  case bytes = 2
  case fixed32 = 5
}

private func key(_ number: UInt8, _ type: WireType) -> [UInt8] { [number << 3 | type.rawValue] }

private func field(_ number: UInt8, _ value: Int) -> [UInt8] {
  key(number, .varint) + varint(UInt64(bitPattern: Int64(value)))
}

private func field(_ number: UInt8, bytes: some Collection<UInt8>) -> [UInt8] {
  key(number, .bytes) + varint(UInt64(bytes.count)) + bytes
}

/// Seven bits a byte, lowest first; the high bit says that more follow.
private func varint(_ value: UInt64) -> [UInt8] {
  var bytes: [UInt8] = []
  var rest = value
  while rest >= 0x80 {
    bytes.append(UInt8(truncatingIfNeeded: rest) | 0x80)
    rest >>= 7
  }
  return bytes + [UInt8(rest)]
}

private func littleEndian(_ value: some FixedWidthInteger) -> [UInt8] {
  withUnsafeBytes(of: value.littleEndian) { Array($0) }
}

import Imaging
import Parquet

/// A comparison to be written to a parquet file of the published schema.
struct Row {
  var caption: String? = "a prompt"
  var first: (uid: String, bytes: [UInt8]?)
  var second: (uid: String, bytes: [UInt8]?)
  var labels = (1.0, 0.0)
  var hasLabel = true
  var ranking = 0

  init(first: (uid: String, bytes: [UInt8]?), second: (uid: String, bytes: [UInt8]?)) {
    self.first = first
    self.second = second
  }
}

func write(_ rows: [Row], to path: String, captionColumn: String = "caption") throws {
  let writer = try ParquetWriter(
    path: path,
    fields: [
      .init(captionColumn, .string), .init("image_0_uid", .string), .init("image_1_uid", .string),
      .init("jpg_0", .bytes), .init("jpg_1", .bytes), .init("label_0", .double),
      .init("label_1", .double), .init("has_label", .boolean),
      .init("num_example_per_prompt", .int64), .init("ranking_id", .int64),
    ])
  for start in stride(from: 0, to: rows.count, by: 50) {
    let group = rows[start..<min(start + 50, rows.count)]
    try writer.append([
      .strings(group.map(\.caption)), .strings(group.map(\.first.uid)),
      .strings(group.map(\.second.uid)), .bytes(group.map(\.first.bytes)),
      .bytes(group.map(\.second.bytes)), .doubles(group.map(\.labels.0)),
      .doubles(group.map(\.labels.1)), .booleans(group.map(\.hasLabel)),
      .int64s(group.map { _ in 2 }), .int64s(group.map { Int64($0.ranking) }),
    ])
  }
  try writer.commit()
}

/// Three good rows.
func writeRows(to path: String, captionColumn: String) throws {
  try write(
    try (0..<3).map {
      Row(first: ("a\($0)", try samplePNG($0)), second: ("b\($0)", try samplePNG(10 + $0)))
    }, to: path, captionColumn: captionColumn)
}

/// A PNG of 20 x 18 pixels, another one for each number.
func samplePNG(_ number: Int) throws -> [UInt8] {
  try RGBImage(
    width: 20, height: 18,
    pixels: (0..<20 * 18 * 3).map { UInt8(truncatingIfNeeded: $0 * (number + 3) / 2) }
  ).encodedAsPNG()
}

/// The text of an error; nil if none is thrown.
func failure(_ body: () throws -> Void) -> String? {
  do {
    try body()
    return nil
  } catch {
    return "\(error)"
  }
}

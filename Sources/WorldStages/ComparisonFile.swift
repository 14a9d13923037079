import Files
import Foundation
import Parquet
import ProceduralWorld

/// Writes comparisons as parquet files in the Hub's format for Pick-a-Pic.
struct ComparisonFile {
  struct Row {
    let prompt: Int
    let first: Int
    let second: Int
    let label: Preference
    /// Whether `second` is on the left, as image 0.
    let isSwapped: Bool
    let rowsOfPrompt: Int
  }

  /// Encoded images.
  let images: [[UInt8]]
  let prompts: [String]
  let seed: UInt64

  private static let fields: [ParquetWriter.Field] = [
    .init("are_different", .boolean), .init("best_image_uid", .string),
    .init("caption", .string), .init("created_at", .timestamp(.microseconds)),
    .init("has_label", .boolean), .init("image_0_uid", .string), .init("image_0_url", .string),
    .init("image_1_uid", .string), .init("image_1_url", .string), .init("jpg_0", .bytes),
    .init("jpg_1", .bytes), .init("label_0", .double), .init("label_1", .double),
    .init("model_0", .string), .init("model_1", .string), .init("ranking_id", .int64),
    .init("user_id", .int64), .init("num_example_per_prompt", .int64),
  ]

  func write(_ rows: [Row], split: String, to folder: String, rowsPerGroup: Int) throws {
    let fingerprint = SHA256.hexDigest(of: Array("\(split) \(seed)".utf8)).prefix(16)
    let writer = try ParquetWriter(
      path: "\(folder)/\(split)-00000-of-00001-\(fingerprint).parquet", fields: Self.fields)
    for start in stride(from: 0, to: rows.count, by: rowsPerGroup) {
      try writer.append(columns(rows[start..<min(start + rowsPerGroup, rows.count)]))
    }
    try writer.commit()
  }

  private func columns(_ rows: ArraySlice<Row>) -> [ParquetWriter.Column] {
    let sides = rows.map { $0.isSwapped ? ($0.second, $0.first) : ($0.first, $0.second) }
    let labels = rows.map { row -> (Double, Double) in
      switch (row.label, row.isSwapped) {
      case (.tie, _): (0.5, 0.5)
      case (.first, false), (.second, true): (1, 0)
      case (.first, true), (.second, false): (0, 1)
      }
    }
    let best = zip(sides, labels).map { side, label -> String? in
      label.0 == label.1 ? "tie" : identifier(label.0 > label.1 ? side.0 : side.1)
    }
    let model = [String?](repeating: "tiny-sd", count: rows.count)
    let noAddress = [String?](repeating: "", count: rows.count)
    return [
      .booleans(sides.map { images[$0.0] != images[$0.1] }), .strings(best),
      .strings(rows.map { prompts[$0.prompt] }),
      .int64s(rows.map { 1_672_531_200_000_000 + Int64($0.second) * 1_000_000 }),
      .booleans(rows.map { _ in true }), .strings(sides.map { identifier($0.0) }),
      .strings(noAddress), .strings(sides.map { identifier($0.1) }), .strings(noAddress),
      .bytes(sides.map { images[$0.0] }), .bytes(sides.map { images[$0.1] }),
      .doubles(labels.map(\.0)), .doubles(labels.map(\.1)), .strings(model), .strings(model),
      .int64s(rows.map { Int64($0.prompt) }), .int64s(rows.map { _ in 0 }),
      .int64s(rows.map { Int64($0.rowsOfPrompt) }),
    ]
  }

  /// Returns an image's name: a UUID from its content and position.
  private func identifier(_ image: Int) -> String {
    let digest = SHA256.hexDigest(of: Array("\(seed) \(image)".utf8))
    let parts = [0..<8, 8..<12, 12..<16, 16..<20, 20..<32]
    return parts.map { range in
      String(digest.dropFirst(range.lowerBound).prefix(range.count))
    }.joined(separator: "-")
  }
}

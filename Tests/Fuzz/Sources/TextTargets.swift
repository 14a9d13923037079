import Files
import Foundation
import PipelineCore
import Stages

@testable import DataStages

/// JSON, records of comparisons, pipeline files.
let textTargets: [FuzzTarget] = [
  FuzzTarget("json", readJSON),
  FuzzTarget("records", readRecords),
  FuzzTarget("settings") {
    _ = try Pipeline(path: Scratch.write($0, to: "input.json5"), stages: stageTypes)
  },
  FuzzTarget("override") {
    _ = try Pipeline(
      path: "\(Scratch.repository)/pipelines/quickstart.json5", stages: stageTypes,
      overrides: String(decoding: $0, as: UTF8.self).split(separator: "\n").map(String.init))
  },
]

private func readJSON(_ input: UnsafeRawBufferPointer) throws {
  let text = String(decoding: input, as: UTF8.self)
  let strict = try? JSON(parsing: text)
  let relaxed = try? JSON(parsing: text, dialect: .json5)
  require(strict == nil || relaxed != nil, "what JSON accepts JSON5 refuses")
  for value in [strict, relaxed].compactMap({ $0 }) {
    let again = try JSON(parsing: value.text())
    require(again == value, "a value changes when it is written and read")
  }
}

/// The first byte chooses the format, the rest is the file.
private func readRecords(_ input: UnsafeRawBufferPointer) throws {
  let endings = ["jsonl", "json", "csv", "tsv", "txt"]
  guard let (index, rest) = input.choice(of: endings.count) else { return }
  let path = Scratch.write(rest, to: "input.\(endings[index])")
  let file = try SourceFile(path: path, split: "train").openRows(ReadingOptions())
  for block in file.blockRowCounts.indices {
    var count = 0
    try file.forEachRow(inBlock: block) { _, row in
      count += 1
      guard case .success(let values) = row else { return }
      _ = try? Record(values, file, select: { _, _ in }, filter: { _ in })
      for field in RecordField.allCases {
        _ = try? values.text(field)
        _ = try? values.number(field)
        _ = try? values.truth(field)
        _ = try? values.image(field)
        _ = try? values.choice(field)
        _ = try? values.images(field)
        _ = try? values.numbers(field)
      }
    }
    require(count == file.blockRowCounts[block], "a block has \(count) rows")
  }
}

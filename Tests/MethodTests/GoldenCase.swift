import Apply
import Autograd
import Checkpoints
import Diffusion
import Files
import Foundation
import TestSupport
import Testing

/// A golden case: a model folder and what the reference libraries computed with it
/// (`Tests/Fixtures/models/README.md`).
struct GoldenCase: CustomTestStringConvertible, Sendable {
  let operation: String
  /// Below `Tests/Fixtures`.
  let folder: String
  let file: String

  var testDescription: String { "\(operation) \(folder)/\(file)" }
  var model: ModelFolder { ModelFolder(path: fixturePath(folder)) }

  func open() throws -> SafetensorsFile {
    try SafetensorsFile(path: fixturePath("\(folder)/\(file)"))
  }

  /// The cases in a folder of fixtures whose names begin with `prefix`.
  static func all(
    _ operation: String, in topic: String, prefix: String, file isCase: (String) -> Bool
  ) -> [GoldenCase] {
    let root = fixturePath(topic)
    let names = (try? FileManager.default.contentsOfDirectory(atPath: root)) ?? []
    return names.filter { $0.hasPrefix(prefix) }.sorted().flatMap { name in
      let files = (try? FileManager.default.contentsOfDirectory(atPath: "\(root)/\(name)")) ?? []
      return files.filter { $0.hasSuffix(".safetensors") && isCase($0) }.sorted().map {
        GoldenCase(operation: operation, folder: "\(topic)/\(name)", file: $0)
      }
    }
  }
}

/// The largest difference of two arrays, as a share of the larger of the reference's largest
/// magnitude and `floor`.
func relativeError(_ found: [Float], _ expected: [Float], floor: Float = 1e-12) -> Float {
  guard found.count == expected.count else { return .infinity }
  let scale = expected.reduce(floor) { max($0, abs($1)) }
  return zip(found, expected).reduce(Float(0)) { largest, pair in
    let difference = abs(pair.0 - pair.1)
    return difference.isNaN ? .infinity : max(largest, difference / scale)
  }
}

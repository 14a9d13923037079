import Files
import Foundation
import TestSupport
import Testing

/// `Tests/Fixtures/commands/small.json5`: every stage on 48 comparisons, in seconds.
struct SmallRun {
  static let pipeline = fixturePath("commands/small.json5")

  let workspace: String

  /// A workspace in which nothing has been done.
  init(in folder: String) { workspace = "\(folder)/workspace" }

  /// A workspace in which everything is done: a copy of one that is made once.
  static func finished(in folder: String) throws -> SmallRun {
    let run = SmallRun(in: folder)
    try FileManager.default.copyItem(atPath: try model.get(), toPath: run.workspace)
    return run
  }

  private static let sharedFolder = FileManager.default.temporaryDirectory
    .appendingPathComponent("spo-finished-\(getpid())").path

  private static let model = Result { () throws -> String in
    try FileManager.default.createDirectory(
      atPath: sharedFolder, withIntermediateDirectories: true)
    atexit { try? FileManager.default.removeItem(atPath: SmallRun.sharedFolder) }
    let run = SmallRun(in: sharedFolder)
    expectSuccess(try run.run())
    return run.workspace
  }

  /// `spo run` of the pipeline in this workspace, quietly.
  func run(
    _ arguments: String..., sourceLocation: SourceLocation = #_sourceLocation
  ) throws -> Outcome {
    try Program(["run", Self.pipeline, "--workspace", workspace, "--quiet"] + arguments)
      .outcome(sourceLocation: sourceLocation)
  }

  /// The state of each stage by name, from `spo status --json`.
  func states(_ arguments: String...) throws -> [String: String] {
    let outcome = try Program(
      ["status", Self.pipeline, "--workspace", workspace, "--json"] + arguments
    ).outcome()
    expectSuccess(outcome)
    var states: [String: String] = [:]
    for stage in try JSONReader(JSON(parsing: outcome.output), path: "status")["stages"].elements()
    {
      states[try stage.string("stage")] = try stage.string("state")
    }
    return states
  }

  func path(_ relative: String) -> String { "\(workspace)/\(relative)" }

  func bytes(_ relative: String) throws -> [UInt8] {
    try RegularFile(path: path(relative)).readAll()
  }

  /// Inverts a bit in the middle of a file; size and time of change stay as they were.
  func flip(_ relative: String, at place: Double = 0.5) throws {
    let path = path(relative)
    var bytes = try RegularFile(path: path).readAll()
    bytes[Int(Double(bytes.count - 1) * place)] ^= 0x10
    let date = try FileManager.default.attributesOfItem(atPath: path)[.modificationDate]
    try Data(bytes).write(to: URL(fileURLWithPath: path))
    try FileManager.default.setAttributes([.modificationDate: date as Any], ofItemAtPath: path)
  }
}

import Catalog
import Files
import Foundation
import PipelineCore
import Shards
import Stages
import TestSupport

/// The data stages run on a folder of sources with the tiny model of the fixtures.
struct DataPipeline {
  let folder: String
  var workspace = "workspace"
  var model = fixturePath("sample/model")
  var ingest: [String: JSON] = [:]
  var encode: [String: JSON] = ["size": 16, "batch": 4]
  /// Nil: there is no such stage.
  var label: [String: JSON]?
  var shard: [String: JSON] = [:]
  var observe: (RunEvent) -> Void = { _ in }

  init(in folder: String, sources: [String]) throws {
    self.folder = folder
    ingest["source"] = .array(sources.map { .string("\(folder)/\($0)") })
  }

  static let train = "train-00000-of-00001-0f1e2d3c4b5a6978.parquet"
  static let validation = "validation-00000-of-00001-8796a5b4c3d2e1f0.parquet"

  /// A folder with copies of some fixtures.
  static func with<Result>(
    _ fixtures: [String], _ body: (DataPipeline) throws -> Result
  ) throws -> Result {
    try withTemporaryFolder { folder in
      for name in fixtures {
        try FileManager.default.copyItem(
          atPath: fixturePath("stages/\(name)"), toPath: "\(folder)/\(name)")
      }
      return try body(
        try DataPipeline(in: folder, sources: fixtures.filter { $0.contains(".") }))
    }
  }

  var workspacePath: String { "\(folder)/\(workspace)" }

  func pipeline() throws -> Pipeline {
    var stages = JSON.Object()
    stages["ingest"] = block(ingest)
    stages["encode"] = block(encode)
    if let label { stages["label"] = block(label) }
    stages["shard"] = block(shard)
    let file: JSON = [
      "workspace": .string(workspacePath), "model": .string(model), "stages": .object(stages),
    ]
    let path = "\(folder)/\(workspace).json5"
    try AtomicFile.replace(path, with: Array(file.text().utf8))
    return try Pipeline(path: path, stages: stageTypes)
  }

  private func block(_ settings: [String: JSON]) -> JSON {
    var object = JSON.Object()
    for (key, value) in settings.sorted(by: { $0.key < $1.key }) { object[key] = value }
    return .object(object)
  }

  /// Runs the stages; returns the events.
  @discardableResult
  func run(through stage: String? = nil, forced: Set<String> = []) throws -> [RunEvent] {
    var events: [RunEvent] = []
    try Runner(try pipeline()) { event in
      events.append(event)
      observe(event)
    }.run(through: stage, forced: forced)
    return events
  }

  func catalog() throws -> CatalogDatabase {
    try CatalogDatabase(path: "\(workspacePath)/catalog.sqlite", access: .readOnly)
  }

  func shards(_ split: String) throws -> ShardSet {
    try ShardSet(folder: "\(workspacePath)/shards", split: split)
  }

  /// The bytes of all files of the shards' folder.
  func shardBytes() throws -> [String: [UInt8]] {
    let folder = "\(workspacePath)/shards"
    var files: [String: [UInt8]] = [:]
    for name in try Folders.names(in: folder) {
      files[name] = try RegularFile(path: "\(folder)/\(name)").readAll()
    }
    return files
  }
}

/// Makes a database refuse an insertion, as a full disk would, until `remove` is called.
struct Obstacle {
  let path: String
  let table: String

  /// - Parameter condition: over `NEW`, the row to be inserted
  func add(when condition: String) throws {
    try Database(path: path).execute(
      """
      CREATE TRIGGER obstacle BEFORE INSERT ON \(table) WHEN \(condition)
      BEGIN SELECT RAISE(ABORT, 'an obstacle'); END
      """)
  }

  func remove() throws { try Database(path: path).execute("DROP TRIGGER obstacle") }
}

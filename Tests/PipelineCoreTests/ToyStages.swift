import Files
import Foundation
import PipelineCore
import Testing

/// Writes one file an item: the item's number times a factor.
struct Multiply: DivisibleStage {
  struct Settings: StageSettings {
    @Setting("Numbers to multiply.", in: 0...1_000) var count = 4
    @Setting("What they are multiplied with.", in: -1e6...1e6) var factor = 1.5
    @Setting("Of the random streams.") var seed: UInt64 = 42
    @Setting("What happens on the way.") var note: String? = nil
    @Setting("How it is done.") var mode = Mode.plain
    var limits = Limits()
    @Setting("Names of columns.") var columns: [String: String] = ["caption": "caption"]
    @Setting("Numbers at a time.", in: 1...64) var batchSize = 8
    @Setting("A file that the result depends on.") var table = ""
    @Setting("Steps to look at.", in: 0..<100) var steps: [Int] = [1, 2]
    @Setting("How fast to learn.", above: 0, upTo: 0.5) var rate: Float = 0.1
    @Setting("The last number; null: none.", in: 1...99) var last: Int? = nil
    @Setting("What the result is called.", .fileName) var name = "products"

    func check() throws(SettingConflict) {
      if let last, last >= count {
        throw SettingConflict("last", "must be below count (\(count)), but is \(last)")
      }
    }

    enum Mode: String, Codable, CaseIterable {
      case plain
      case fancy
    }

    struct Limits: Codable {
      var maxRejectFraction = 0.01
    }
  }

  static let name = "multiply"
  static let version = 1
  static let unit = "numbers"
  static let usesDevice = true
  static let settingsWithoutEffect: Set<String> = ["batch_size", "table"]
  static let repairsFiles = true

  let reads: Set<Artifact> = []
  static let spare = ["multiply/spare"]
  static let fileNames = ["multiply/[0-9]*", "multiply/spare/[0-9]*", "multiply/log"]
  var writes: [Artifact: [String]] {
    ["products": (0..<settings.count).map { "multiply/\($0)" }]
  }
  fileprivate let settings: Settings
  fileprivate let context: StageContext
  fileprivate let folder: String

  init(settings: Settings, context: StageContext) throws {
    self.settings = settings
    self.context = context
    folder = context.output(Self.name)
  }

  func inputs() throws -> [StageInput] {
    settings.table.isEmpty ? [] : [try context.digests.input(file: settings.table, as: "table")]
  }

  func earlierSettings() -> [String: JSON] { ["rate": 0.1] }

  func lastingFiles() -> [LastingFiles] {
    [LastingFiles(["multiply/[0-9]*"], otherSettings: ["name"]) { _ in true }]
  }

  func workPlan() -> WorkPlan<MultiplyWork> {
    let left = (0..<settings.count).filter { !exists($0) }
    return WorkPlan(
      context.isPart ? Array(0..<settings.count) : left,
      finishedUnitCount: settings.note == "forget" ? 0 : settings.count - left.count,
      division: self
    ) { MultiplyWork(stage: self) }
  }

  func results() -> [String] { ["products are in \(folder)"] }

  private func path(_ item: Int) -> String { "\(folder)/\(item)" }
  private func exists(_ item: Int) -> Bool { Folders.exists(path(item)) }

  fileprivate func text(_ item: Int) throws -> String {
    String(decoding: try RegularFile(path: path(item)).readAll(), as: UTF8.self)
  }

  fileprivate func write(_ text: String, _ item: Int) throws {
    try AtomicFile.replace(path(item), with: Array(text.utf8))
  }
}

extension Multiply: Division {
  func position(of item: Int) -> Int? { settings.note == "keep \(item)" ? nil : item }
  func key(of item: Int) -> String { "number \(item)" }

  func write(_ output: String, of item: Int, to writer: inout OutputWriter) {
    writer.add(output)
  }

  func output(of item: Int, from reader: inout OutputReader) throws -> String {
    try reader.text()
  }
}

final class MultiplyWork: StageWork {
  private let stage: Multiply

  fileprivate init(stage: Multiply) { self.stage = stage }

  func process(_ item: Int) throws -> String {
    let note = stage.settings.note
    if note == "stop at \(item)"
      || Folders.exists(ToyRun.stopPath(stage.context.workspace, item))
    {
      throw Interruption(signal: 2)
    }
    if note == "fail at \(item)" {
      throw PipelineError.damaged(path: "item \(item)", reason: "as the test wants it")
    }
    if note == "reject \(item)" { throw Rejection("odd", "item \(item) is odd") }
    return "\(stage.settings.factor * Double(item))"
  }

  func commit(_ output: String, of item: Int) throws { try stage.write(output, item) }

  func reject(_ item: Int, because rejection: Rejection) throws {
    try stage.write("rejected: \(rejection.code)", item)
  }

  func finish() throws -> WorkSummary {
    if stage.settings.note == "spare" {
      try Folders.make("\(stage.folder)/spare")
      try AtomicFile.replace("\(stage.folder)/spare/0", with: Array("spare".utf8))
      try AtomicFile.replace("\(stage.folder)/log", with: Array("what happened".utf8))
    }
    let rejected = (0..<stage.settings.count).count {
      (try? stage.text($0)) == "rejected: odd"
    }
    return WorkSummary(rejections: rejected > 0 ? ["odd": rejected] : [:])
  }
}

/// Joins the products into one file, in its `finish`.
struct Join: Stage {
  struct Settings: StageSettings {
    @Setting("Between two products.") var separator = " "
    @Setting("Of the random streams.") var seed: UInt64 = 0
  }

  static let name = "join"
  static let version = 1

  static let ownPaths = ["text"]

  let reads: Set<Artifact> = ["products"]
  let writes: [Artifact: [String]] = ["text": ["text"]]
  private let settings: Settings
  private let context: StageContext

  init(settings: Settings, context: StageContext) throws {
    self.settings = settings
    self.context = context
  }

  func workPlan() -> WorkPlan<JoinWork> {
    WorkPlan([]) { JoinWork(settings.separator, context) }
  }
}

final class JoinWork: StageWork {
  private let separator: String
  private let context: StageContext

  fileprivate init(_ separator: String, _ context: StageContext) {
    (self.separator, self.context) = (separator, context)
  }

  func process(_ item: Int) -> Int { item }
  func commit(_ output: Int, of item: Int) {}

  func finish() throws -> WorkSummary {
    let products = try (0..<4).map { number in
      String(
        decoding: try RegularFile(path: context.workspace.path("multiply/\(number)")).readAll(),
        as: UTF8.self)
    }
    try AtomicFile.replace(
      context.output("text"), with: Array(products.joined(separator: separator).utf8))
    return WorkSummary()
  }
}

/// Changes one bit of a file and keeps its time of modification.
func flipBit(of path: String) throws {
  let manager = FileManager.default
  let time = try manager.attributesOfItem(atPath: path)[.modificationDate]
  let handle = try #require(FileHandle(forUpdatingAtPath: path))
  let first = try #require(try handle.read(upToCount: 1)?.first)
  try handle.seek(toOffset: 0)
  try handle.write(contentsOf: [first ^ 1])
  try handle.close()
  try manager.setAttributes([.modificationDate: time as Any], ofItemAtPath: path)
}

var toyStages: [any Stage.Type] { [Multiply.self, Join.self] }

/// A folder with a pipeline file, and what its runs said.
final class ToyRun {
  let folder: String
  private(set) var events: [RunEvent] = []
  /// The item at which runs are interrupted, whatever their settings.
  var stop: Int? {
    didSet {
      let workspace = Workspace(path: folder + "/run")
      if let oldValue { unlink(Self.stopPath(workspace, oldValue)) }
      if let stop {
        _ = FileManager.default.createFile(atPath: Self.stopPath(workspace, stop), contents: nil)
      }
    }
  }
  static func stopPath(_ workspace: Workspace, _ item: Int) -> String {
    workspace.path("stop at \(item)")
  }
  var name: String { folder.split(separator: "/").last.map(String.init) ?? "" }

  init(_ folder: String, _ body: String) throws {
    self.folder = folder
    try write(body)
  }

  func write(_ body: String) throws {
    try AtomicFile.replace(
      folder + "/pipeline.json5", with: Array("{ workspace: '\(folder)/run', \(body) }".utf8))
  }

  func pipeline(_ overrides: String...) throws -> Pipeline {
    try Pipeline(path: folder + "/pipeline.json5", stages: toyStages, overrides: overrides)
  }

  /// Runs and returns the events, progress left out.
  @discardableResult
  func run(
    _ overrides: String..., through: String? = nil, forced: Set<String> = [],
    merge: Runner.Merge? = nil
  ) throws -> [RunEvent] {
    let pipeline = try Pipeline(
      path: folder + "/pipeline.json5", stages: toyStages, overrides: overrides)
    events = []
    try Runner(pipeline) { event in
      if case .advanced = event { return }
      self.events.append(event)
    }.run(through: through, forced: forced, merge: merge)
    return events
  }

  /// Makes a part; returns the events.
  @discardableResult
  func part(
    _ index: Int, of count: Int, _ overrides: String..., stage: String = "multiply",
    device: String = "cpu", environment: [String: String] = [:]
  ) throws -> [RunEvent] {
    let pipeline = try Pipeline(
      path: folder + "/pipeline.json5", stages: toyStages, overrides: overrides)
    var events: [RunEvent] = []
    try Runner(pipeline, device: RunDevice(device)) { event in
      if case .advanced = event { return }
      events.append(event)
    }.runPart(try Partition(index: index, of: count), of: stage, environment: environment)
    return events
  }

  /// Puts a file into the workspace.
  func put(_ relative: String, _ text: String) throws {
    let url = URL(fileURLWithPath: "\(folder)/run/\(relative)")
    try FileManager.default.createDirectory(
      at: url.deletingLastPathComponent(), withIntermediateDirectories: true)
    try Data(text.utf8).write(to: url)
  }

  func text(_ relative: String) throws -> String {
    String(decoding: try RegularFile(path: "\(folder)/run/\(relative)").readAll(), as: UTF8.self)
  }

  /// The reasons that a stage gave for running, or nil if it was up to date.
  func reasons(_ stage: String) -> [String]? {
    for case .started(stage, let reasons, _) in events { return reasons }
    return nil
  }
}

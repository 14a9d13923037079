public import Files
public import Ranks

/// What a stage is given beside its settings.
public struct StageContext {
  public let workspace: Workspace
  /// Input files' digests, kept from run to run.
  public let digests: FileDigests
  public let progress: StageProgress
  let ownPaths: StagePaths
  /// Whether the stage makes a new result, or is asked about the finished one.
  let isBuilding: Bool
  /// Whether this process makes one part, and may change nothing that others read.
  public internal(set) var isPart = false
  /// Whether parts have made some of what is to be done.
  public internal(set) var hasParts = false
  /// Where parts put files that are too large to be copied; nil: the stage is asked, not run.
  public internal(set) var partFolder: String?
  /// Where databases are while a merge builds them elsewhere.
  var scratch: ScratchDatabases?
  /// Those who work on it, as this process sees them.
  public internal(set) var ranks = Communicator()
  /// Whether a run is to do again what seems to be done: what shared caches hold is checked then.
  public internal(set) var isForced = false

  /// Where the stage's own file or folder lies, or, while it makes a new result, is made.
  ///
  /// - Parameter relative: its path in the workspace, such as `spo/checkpoints`
  public func output(_ relative: String) -> String {
    isBuilding ? ownPaths.building(relative) : ownPaths.final(relative)
  }

  /// All stages of the pipeline, by their names.
  let planned: [String: ConfiguredStage]

  /// Whether the pipeline has a stage.
  public func plans(_ stage: String) -> Bool { planned[stage] != nil }

  /// The settings that another stage has in this pipeline; nil if the pipeline does not have it.
  public func planned<Settings: StageSettings>(
    _ type: Settings.Type, of stage: String
  ) throws -> Settings? {
    try planned[stage].map { try SettingsDecoder.settings(type, from: $0.settings, path: stage) }
  }

  /// Where a database of the workspace lies, or is made.
  public func database(_ name: String) -> String {
    let path = ownPaths.all.contains(name) ? output(name) : workspace.path(name)
    return scratch?[path] ?? path
  }

  /// Whether the databases are built elsewhere, to be moved as single files.
  public var movesDatabases: Bool { scratch != nil }

  /// The settings with which another stage has run.
  public func settings<Settings: StageSettings>(
    _ type: Settings.Type, of stage: String
  ) throws -> Settings {
    let path = workspace.recordPath(stage)
    guard let record = try StageRecord.load(from: path) else {
      throw PipelineError.damaged(path: path, reason: "it is gone; run stage \(stage) again")
    }
    return try SettingsDecoder.settings(type, from: record.run.basis.settings, path: path)
  }

  /// What another stage has made its result from; nil where it has no result yet.
  public func origin(of stage: String) throws -> StageOrigin? {
    let record = try StageRecord.load(from: workspace.recordPath(stage))
    guard let result = record?.result else { return nil }
    var basis = result.run.basis
    basis.settingsWithoutEffect = planned[stage]?.settingsWithoutEffect ?? []
    return StageOrigin(
      settings: basis.effectiveSettings.sorted, inputs: basis.inputs, upstream: basis.upstream,
      outputs: result.files.compactMapValues(\.sha256))
  }

  /// Throws ``Interruption`` if the user asked to stop.
  ///
  /// For stages whose items take long. The item is done again in the next run. Does nothing while all ranks
  /// are at a step, which they end together.
  public func checkInterruption() throws {
    if ranks.isBusy { return }
    if let interruption = Interruption.pending { throw interruption }
  }
}

/// What a finished result was made from.
public struct StageOrigin: Equatable, Sendable {
  /// Those that have an effect, in alphabetical order.
  public let settings: JSON
  public let inputs: [StageInput]
  /// The digests of what the stage has read of earlier ones, by the names of the artifacts.
  public let upstream: [String: String]
  /// The digests of the files that the stage has made, by their paths in the workspace.
  public let outputs: [String: String]
}

/// How far a stage is, counted in its units; a stage may advance it inside a long item.
public final class StageProgress {
  public struct Snapshot: Equatable, Sendable {
    public var stage: String
    public var unit: String
    public var unitsDone: Int
    public var unitsTotal: Int
    /// Units done in this run, for the rate.
    public var unitsThisRun: Int
    /// Seconds of work in this run.
    public var seconds: Double
    /// What the stage said last, such as a loss.
    public var note: String

    /// Nil until the rate is known.
    public var secondsLeft: Double? {
      guard unitsThisRun > 0 else { return nil }
      return seconds / Double(unitsThisRun) * Double(unitsTotal - unitsDone)
    }
  }

  private let stage: String
  private let unit: String
  private let observe: (RunEvent) -> Void
  private let start = ContinuousClock.now
  private var unitsBefore = 0
  private var unitsTotal = 0
  /// Units of the items done in this run, and of the item at hand.
  private var unitsOfItems = 0
  private var unitsInItem = 0
  private var note = ""

  init(stage: String, unit: String, observe: @escaping (RunEvent) -> Void) {
    self.stage = stage
    self.unit = unit
    self.observe = observe
  }

  /// Counts units inside the item at hand; at its end the rest of its units are counted.
  public func advance(by units: Int = 1, note: String = "") {
    unitsInItem += units
    self.note = note
    observe(.advanced(snapshot))
  }

  /// Says something worth a line of its own.
  public func say(_ text: String) { observe(.said(stage: stage, text: text)) }

  func begin(unitsBefore: Int, unitsToDo: Int) {
    self.unitsBefore = unitsBefore
    unitsTotal = unitsBefore + unitsToDo
  }

  func finishItem(units: Int) {
    unitsOfItems += units
    unitsInItem = 0
    observe(.advanced(snapshot))
  }

  var snapshot: Snapshot {
    let thisRun = unitsOfItems + unitsInItem
    return Snapshot(
      stage: stage, unit: unit, unitsDone: min(unitsBefore + thisRun, unitsTotal),
      unitsTotal: unitsTotal, unitsThisRun: thisRun, seconds: seconds, note: note)
  }

  /// Units whose results are recorded.
  var recordedUnits: Int { unitsBefore + unitsOfItems }
  var total: Int { unitsTotal }
  var seconds: Double { (ContinuousClock.now - start) / .seconds(1) }
}

/// What happens during a run, for whoever shows it.
public enum RunEvent: Equatable, Sendable {
  case upToDate(stage: String)
  /// A stage begins or continues; `reasons` say why it is not up to date.
  case started(stage: String, reasons: [String], resumed: Bool)
  case advanced(StageProgress.Snapshot)
  case said(stage: String, text: String)
  /// Something that is not this program's was moved, not deleted.
  case kept(stage: String, text: String)
  /// `peakMemory`: the most resident bytes while the stage ran, this time.
  case finished(
    stage: String, units: Int, unit: String, rejections: [String: Int], seconds: Double,
    peakMemory: Int)
  /// A part is complete: how many items of how many of the stage it has, and the file that holds them.
  case partDone(stage: String, part: Partition, items: Int, total: Int, path: String)
  /// A line for the end, from a stage that is done.
  case result(stage: String, text: String)
}

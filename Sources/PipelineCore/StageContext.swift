public import Files
public import Ranks

/// The environment of a stage, apart from its settings.
public struct StageContext {
  public let workspace: Workspace
  /// The input files' digests, kept between runs.
  public let digests: FileDigests
  public let progress: StageProgress
  let ownPaths: StagePaths
  /// Whether the stage builds a new result, or is queried about the finished one.
  let isBuilding: Bool
  /// Whether this process computes one part, and must not change anything that others read.
  public internal(set) var isPart = false
  /// Whether parts have done some of the work.
  public internal(set) var hasParts = false
  /// The folder for parts' files too large to be copied; nil: the stage is queried, not run.
  public internal(set) var partFolder: String?
  /// The databases' location while a merge builds them elsewhere.
  var scratch: ScratchDatabases?
  /// The processes that work on it, seen from this one.
  public internal(set) var ranks = Communicator()
  /// Whether the run was told to redo finished work: entries of shared caches are then verified.
  public internal(set) var isForced = false

  /// Returns the location of the stage's file or folder, or, while building, of its new version.
  ///
  /// - Parameter relative: its path in the workspace, such as `spo/checkpoints`
  public func output(_ relative: String) -> String {
    isBuilding ? ownPaths.building(relative) : ownPaths.final(relative)
  }

  /// All stages of the pipeline, by name.
  let planned: [String: ConfiguredStage]

  /// Whether the pipeline has a stage.
  public func plans(_ stage: String) -> Bool { planned[stage] != nil }

  /// Returns another stage's settings in this pipeline; nil if it does not have the stage.
  public func planned<Settings: StageSettings>(
    _ type: Settings.Type, of stage: String
  ) throws -> Settings? {
    try planned[stage].map { try SettingsDecoder.settings(type, from: $0.settings, path: stage) }
  }

  /// Returns the location of a workspace database, present or future.
  public func database(_ name: String) -> String {
    let path = ownPaths.all.contains(name) ? output(name) : workspace.path(name)
    return scratch?[path] ?? path
  }

  /// Whether the databases are built elsewhere and then moved as single files.
  public var movesDatabases: Bool { scratch != nil }

  /// Returns the settings with which another stage has run.
  public func settings<Settings: StageSettings>(
    _ type: Settings.Type, of stage: String
  ) throws -> Settings {
    let path = workspace.recordPath(stage)
    guard let record = try StageRecord.load(from: path) else {
      throw PipelineError.damaged(path: path, reason: "it is gone; run stage \(stage) again")
    }
    return try SettingsDecoder.settings(type, from: record.run.basis.settings, path: path)
  }

  /// Returns the origin of another stage's result; nil if there is no result yet.
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
  /// For stages with long items. The item is repeated in the next run. Does nothing while all ranks
  /// are in a step, which they end together.
  public func checkInterruption() throws {
    if ranks.isBusy { return }
    if let interruption = Interruption.pending { throw interruption }
  }
}

/// The settings, inputs and outputs of a finished result.
public struct StageOrigin: Equatable, Sendable {
  /// The effective settings, sorted by key.
  public let settings: JSON
  public let inputs: [StageInput]
  /// The digests of the artifacts that the stage has read, by name.
  public let upstream: [String: String]
  /// The digests of the files that the stage has written, by their paths in the workspace.
  public let outputs: [String: String]
}

/// A stage's progress in its units; a stage may advance it inside a long item.
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
    /// The stage's latest note, such as a loss.
    public var note: String

    /// The estimated time left; nil until the rate is known.
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
  /// Units of the items done in this run, and of the current item.
  private var unitsOfItems = 0
  private var unitsInItem = 0
  private var note = ""

  init(stage: String, unit: String, observe: @escaping (RunEvent) -> Void) {
    self.stage = stage
    self.unit = unit
    self.observe = observe
  }

  /// Counts units inside the current item; its remaining units are counted when it ends.
  public func advance(by units: Int = 1, note: String = "") {
    unitsInItem += units
    self.note = note
    observe(.advanced(snapshot))
  }

  /// Reports something worth a line of its own.
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

  /// The units with recorded results.
  var recordedUnits: Int { unitsBefore + unitsOfItems }
  var total: Int { unitsTotal }
  var seconds: Double { (ContinuousClock.now - start) / .seconds(1) }
}

/// An event during a run, for whatever displays it.
public enum RunEvent: Equatable, Sendable {
  case upToDate(stage: String)
  /// A stage starts or resumes; `reasons` say why it is not up to date.
  case started(stage: String, reasons: [String], resumed: Bool)
  case advanced(StageProgress.Snapshot)
  case said(stage: String, text: String)
  /// A foreign file was moved, not deleted.
  case kept(stage: String, text: String)
  /// `peakMemory`: the peak resident bytes during this run of the stage.
  case finished(
    stage: String, units: Int, unit: String, rejections: [String: Int], seconds: Double,
    peakMemory: Int)
  /// A part is complete: its number of the stage's items, and the file that holds them.
  case partDone(stage: String, part: Partition, items: Int, total: Int, path: String)
  /// A closing line from a finished stage.
  case result(stage: String, text: String)
}

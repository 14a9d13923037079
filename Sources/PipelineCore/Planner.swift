import Files

/// A plan of what a pipeline's stages would do now, compared with what they did.
///
/// Queried stage by stage: the work of a stage depends on what those before it have made.
struct Planner {
  /// The work that a stage has to do.
  enum Work: Equatable {
    case nothing
    /// A new result next to the present one, resumed or from scratch.
    case build(resumes: Bool)
    /// The missing files of the present result.
    case repair([LostFile])
    /// Known only after the stages before it have run.
    case unknown
  }

  struct Step {
    let configured: ConfiguredStage
    let stage: any Stage
    let basis: StageBasis
    let record: StageRecord?
    let state: StageState
    /// Why the stage is not done.
    let reasons: [String]
    let work: Work
    /// The stage's inputs that already exist.
    let ready: Set<Artifact>
    /// Whether the user asked for the stage to run, or another stage has found its output damaged.
    let isForced: Bool
    /// Inputs and outputs that were touched but not read, see ``FileDigests``.
    let unread: [String]

    /// The files of a finished result that stay until the new one is complete.
    var replaced: [String] {
      guard let result = record?.result, state == .stale || state == .partial else { return [] }
      return result.files.filter { $0.value.isRead }.keys.sorted()
    }
  }

  private let workspace: Workspace
  private let digests: FileDigests
  /// Whether stages are queried by a part, which opens databases without changing anything.
  private let isPart: Bool
  var forced: Set<String>
  /// Whether unreadable inputs are assumed unchanged since the result was made: for commands that
  /// only look at results.
  private let trustsLostInputs: Bool
  /// The maker and digest of each artifact; a nil digest is known only after a stage has run.
  private var artifacts: [Artifact: (maker: String, digest: String?)] = [:]

  init(
    _ workspace: Workspace, _ digests: FileDigests, forced: Set<String> = [], isPart: Bool = false,
    trustsLostInputs: Bool = false
  ) {
    self.trustsLostInputs = trustsLostInputs
    self.workspace = workspace
    self.isPart = isPart
    self.digests = digests
    self.forced = forced
  }

  /// Returns the steps of a pipeline's stages before any runs.
  static func steps(
    of pipeline: Pipeline, through last: String? = nil, forced: Set<String> = [],
    isPart: Bool = false, trustsLostInputs: Bool = false, _ digests: FileDigests
  ) throws -> [Step] {
    var planner = Planner(
      Workspace(path: pipeline.workspacePath), digests, forced: forced, isPart: isPart,
      trustsLostInputs: trustsLostInputs)
    var steps: [Step] = []
    for configured in pipeline.stages(through: last) {
      let step = try planner.step(configured)
      planner.pass(step, digests: step.work == .nothing ? step.record?.result?.artifacts : nil)
      steps.append(step)
    }
    return steps
  }

  /// Returns the stages whose artifacts a stage reads, by artifact.
  func makers(for stage: any Stage) -> [Artifact: String] {
    artifacts.filter { stage.reads.union(stage.readsIfMade).contains($0.key) }.mapValues(\.maker)
  }

  /// Returns the stage that makes an artifact that another reads, or makes itself.
  func maker(of artifact: Artifact, for step: Step) -> String? {
    step.stage.writes[artifact] == nil ? artifacts[artifact]?.maker : step.configured.name
  }

  /// Returns the step of a stage, once those before it have been passed.
  func step(_ configured: ConfiguredStage) throws -> Step {
    let unreadBefore = digests.unread.count
    var context = StageContext(configured, in: workspace, digests)
    context.isPart = isPart
    let stage = try configured.make(context)
    try stage.requireFollowing(artifacts.mapValues(\.maker))
    var upstream: [String: String] = [:]
    var waitsFor: Set<String> = []
    for (artifact, maker) in makers(for: stage) {
      guard let digest = artifacts[artifact]?.digest else {
        waitsFor.insert(maker)
        continue
      }
      upstream[artifact.name] = digest
    }
    let record = try StageRecord.load(from: workspace.recordPath(configured.name))
    let (inputs, lost) = try self.inputs(of: stage, configured, record)
    var seen: Set<ExactText> = []
    let basis = StageBasis(
      version: configured.version, settings: configured.settings,
      settingsWithoutEffect: configured.settingsWithoutEffect,
      earlierSettings: try stage.earlierSettings(),
      inputs: inputs.filter { seen.insert(ExactText($0.name)).inserted }, upstream: upstream)
    let ready = Set(makers(for: stage).keys.filter { artifacts[$0]?.digest != nil })
    func step(_ state: StageState, _ reasons: [String], _ work: Work) -> Step {
      Step(
        configured: configured, stage: stage, basis: basis, record: record, state: state,
        reasons: reasons + lost, work: work, ready: ready,
        isForced: forced.contains(configured.name),
        unread: Array(digests.unread.dropFirst(unreadBefore)))
    }
    guard let record else { return step(.missing, ["never run"], .build(resumes: false)) }
    guard waitsFor.isEmpty else {
      let lost = try record.result.map { try lostFiles(of: $0, stage, configured) } ?? []
      let stages = waitsFor.sorted()
      let subject =
        stages.count == 1
        ? "stage \(stages[0]) runs" : "stages \(stages.joined(separator: ", ")) run"
      let reasons =
        ownChanges(basis, record) + [
          "\(subject) first; this one reruns only if that changes its inputs"
        ]
      return step(
        lost.state ?? (record.result == nil ? .partial : .stale),
        lost.map(\.description) + reasons, .unknown)
    }
    let (state, reasons, work) = try judge(stage, configured, basis, record)
    return step(state, reasons, work)
  }

  /// Returns what has changed for a stage that waits for others, apart from what it reads of these.
  private func ownChanges(_ basis: StageBasis, _ record: StageRecord) -> [String] {
    let earlier = (record.result?.run ?? record.run).basis
    var own = basis
    own.upstream = earlier.upstream
    return own.changes(since: earlier)
  }

  /// - Returns: the stage's external inputs, and messages about those that cannot be read
  private func inputs(
    of stage: any Stage, _ configured: ConfiguredStage, _ record: StageRecord?
  ) throws -> (inputs: [StageInput], lost: [String]) {
    do {
      return (try configured.inputs(of: stage), [])
    } catch let interruption as Interruption {
      throw interruption
    } catch {
      guard trustsLostInputs, let result = record?.result else { throw error }
      return (result.run.basis.inputs, ["its result is kept, but \(error)"])
    }
  }

  private func judge(
    _ stage: any Stage, _ configured: ConfiguredStage, _ basis: StageBasis, _ record: StageRecord
  ) throws -> (StageState, [String], Work) {
    var makers: [String: String] = [:]
    for (artifact, entry) in artifacts { makers[artifact.name] = entry.maker }
    func isCurrent(_ run: StageRun) -> Bool { basis.changes(since: run.basis).isEmpty }
    if record.phase == .replacing {
      return (.partial, ["complete; the next run moves it into place"], .unknown)
    }
    let progress =
      record.run.unitsTotal == 0
      ? "started" : "\(record.run.unitsDone) of \(record.run.unitsTotal) done so far"
    let stands = record.result.map { $0.isKnown && isCurrent($0.run) } ?? false
    let gone = stands ? try stage.goneInputs() : []
    let wasForced = record.phase == .building && record.isForced && isCurrent(record.run)
    // Inputs that a forced rebuild can no longer read do not invalidate the present result.
    if wasForced, gone.isEmpty {
      return (.partial, [progress], .build(resumes: true))
    }
    if let result = record.result, stands {
      if forced.contains(configured.name) {
        return (.done, ["forced"], .build(resumes: false))
      }
      let lost = try lostFiles(of: result, stage, configured)
      let missing = try stage.missingOutput()
      if !lost.isEmpty, missing == nil, record.phase == .done,
        lost.allSatisfy({ OutputCheck.covers(configured.type.secondary, $0.relative) }),
        try !stage.remakesFilesAtOnce()
      {
        return (lost.state ?? .damaged, lost.map { Self.describe($0, configured) }, .nothing)
      }
      if !lost.isEmpty || missing != nil || record.phase == .repairing {
        return (
          lost.state ?? .missing,
          lost.map(\.description) + (missing.map { ["missing: \($0)"] } ?? [])
            + (record.phase == .repairing && lost.isEmpty ? ["being rebuilt"] : []),
          Self.repair(lost, of: result, configured)
        )
      }
      let check = OutputCheck(ownPaths: configured.ownPaths(in: workspace), digests: digests)
      let unread = try check.unread(result).map { Self.describe($0, configured) }
      return (.done, Self.describe(gone: gone, wasForced) + unread, .nothing)
    }
    if record.phase == .building, isCurrent(record.run) {
      return (
        .partial, [progress],
        .build(resumes: !forced.contains(configured.name))
      )
    }
    if record.result?.isKnown == false, record.phase != .building {
      return (
        .stale, ["made by an earlier version of this program; the next run checks it first"],
        .build(resumes: false)
      )
    }
    let earlier = record.result.flatMap { $0.isKnown ? $0.run : nil } ?? record.run
    return (
      .stale, basis.changes(since: earlier.basis, makers: makers), .build(resumes: false)
    )
  }

  private static func describe(gone: [String], _ wasForced: Bool) -> [String] {
    guard let first = gone.first else { return [] }
    let more = gone.count > 1 ? " and \(gone.count - 1) more" : ""
    let lines = ["\(first)\(more): does not exist any more; the finished result is used instead"]
    return lines
      + (wasForced
        ? [
          "the forced rebuild cannot go on without it; to begin it again, restore it and run with --force"
        ]
        : [])
  }

  private static func describe(_ lost: LostFile, _ configured: ConfiguredStage) -> String {
    if OutputCheck.covers(configured.type.spare, lost.relative) {
      return "\(lost); it is only used to restore lost files, and `spo gc` removes it"
    }
    return
      "\(lost); only retraining would restore it (--force \(configured.name)), and the trained "
      + "result does not depend on it"
  }

  private func lostFiles(
    of result: StageResult, _ stage: any Stage, _ configured: ConfiguredStage
  ) throws -> [LostFile] {
    let ownPaths = configured.ownPaths(in: workspace)
    return try OutputCheck(ownPaths: ownPaths, digests: digests)(result, of: stage).lost
  }

  private static func repair(
    _ lost: [LostFile], of result: StageResult, _ configured: ConfiguredStage
  ) -> Work {
    let recorded = result.files.filter { $0.value.isRead }.count
    // With nothing left there is nothing to keep.
    return configured.type.repairsFiles && (lost.count < recorded || recorded == 0)
      ? .repair(lost) : .build(resumes: false)
  }

  /// Records what a stage makes.
  ///
  /// - Parameter digests: the digests of its artifacts; nil if it has to run first
  mutating func pass(_ step: Step, digests: [String: String]?) {
    for artifact in step.stage.writes.keys {
      artifacts[artifact] = (step.configured.name, digests?[artifact.name])
    }
  }
}

extension Pipeline {
  /// Returns the stages up to one, or all.
  func stages(through last: String?) -> [ConfiguredStage] {
    guard let last, let end = stages.firstIndex(where: { $0.name == last }) else { return stages }
    return Array(stages[...end])
  }
}

extension [LostFile] {
  /// The state of the stage that these files imply; nil if nothing is lost.
  fileprivate var state: StageState? {
    isEmpty ? nil : contains { $0.damage != nil } ? .damaged : .missing
  }
}

/// The state of a stage.
public enum StageState: String, Sendable {
  case done
  /// Made with other settings or inputs, or by another version.
  case stale
  /// Begun and resumable.
  case partial
  /// Never begun, or its output is gone.
  case missing
  /// Its output differs from what it wrote.
  case damaged
}

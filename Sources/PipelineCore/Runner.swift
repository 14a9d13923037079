import Files
public import Ranks

/// Brings a pipeline's stages up to date, in order, and resumes where an earlier run ended.
public struct Runner {
  /// Options of a run that merges parts.
  public struct Merge: Sendable {
    /// A folder on a local disk where databases are built; nil: in the workspace.
    public let scratch: String?

    public init(scratch: String? = nil) { self.scratch = scratch }
  }

  let pipeline: Pipeline
  let workspace: Workspace
  let device: RunDevice
  let ranks: Communicator
  let check: ([PlannedWork]) throws -> Void
  let observe: (RunEvent) -> Void

  /// - Parameters:
  ///   - device: the device, for the records: the last bits of results depend on it
  ///   - ranks: the processes that share the stages; on ranks other than 0 only ``follow(_:)`` is
  ///     called
  ///   - check: called for all stages that have something to do before the first one runs, and
  ///     again for each one before its turn, when all of its inputs exist
  public init(
    _ pipeline: Pipeline, device: RunDevice = RunDevice("cpu"),
    ranks: Communicator = Communicator(),
    check: @escaping ([PlannedWork]) throws -> Void = { _ in },
    observe: @escaping (RunEvent) -> Void
  ) {
    self.pipeline = pipeline
    self.device = device
    self.ranks = ranks
    self.check = check
    self.observe = observe
    workspace = Workspace(path: pipeline.workspacePath)
  }

  /// Runs what is not up to date.
  ///
  /// - Parameters:
  ///   - last: the stage to end after; nil: the last one.
  ///   - forced: stages to run from the beginning even if they are up to date.
  ///   - merge: takes the last stage's outputs only from its parts, which must be complete; nil:
  ///     takes what parts have and computes the rest.
  /// - Throws: ``Interruption`` if the user asked to stop.
  public func run(
    through last: String? = nil, forced: Set<String> = [], merge: Merge? = nil
  ) throws {
    let names = pipeline.stages.map(\.name)
    for name in forced.union(last.map { [$0] } ?? []).sorted() where !names.contains(name) {
      throw PipelineError.unknownStage(
        name: name, nearest: nearest(to: name, in: names), known: names)
    }
    if merge != nil { _ = try divisible(last ?? names.last ?? "") }
    let digests = FileDigests(savedAt: workspace.digestsPath)
    digests.observe = { [observe] path, byteCount in
      let gigabytes = Double(byteCount / 100_000_000) / 10
      observe(
        .said(stage: "inputs", text: "reading \(path) (\(gigabytes) GB) to check for changes"))
    }
    try workspace.requireUsable(knowing: pipeline.knownNames)
    // An error must not leave an empty workspace behind.
    if !workspace.isOurs { try requireReady(last, forced, digests) }
    let lock = try WorkspaceLock(workspace)
    defer { withExtendedLifetime(lock) {} }
    defer { try? digests.save(to: workspace.digestsPath) }
    try tidy(digests)
    try requireReady(last, forced, digests)
    try digests.save(to: workspace.digestsPath)
    try bringUpToDate(last, forced, merge, digests)
    try digests.save(to: workspace.digestsPath)
    for configured in pipeline.stages(through: last) {
      let stage = try configured.make(StageContext(configured, in: workspace, digests))
      for line in try stage.results() {
        observe(.result(stage: configured.name, text: line))
      }
    }
  }

  /// Completes what a killed run has begun to put in place, removes its temporary files, and
  /// migrates an earlier version's results.
  private func tidy(_ digests: FileDigests) throws {
    let records = Set(
      pipeline.stages.map { workspace.recordPath($0.name) } + [workspace.digestsPath])
    try Folders.removeLeftovers(in: workspace.path("state")) {
      records.contains(workspace.path("state/\($0)"))
    }
    try workspace.removeLeftoversOfKernels()
    for configured in pipeline.stages {
      guard let record = try StageRecord.load(from: workspace.recordPath(configured.name)) else {
        continue
      }
      try work(configured, digests).settle(record)
    }
    var earlier = EarlierResults(workspace, digests)
    for configured in pipeline.stages {
      do {
        guard try earlier.takeOver(configured) else { continue }
        observe(
          .said(
            stage: configured.name,
            text: "the result of an earlier version of this program is kept "
              + "where nothing has changed since"))
      } catch let interruption as Interruption {
        throw interruption
      } catch {
        observe(
          .said(
            stage: configured.name,
            text: "the result of an earlier version of this program cannot be reused: \(error)")
        )
      }
    }
  }

  private func work(_ configured: ConfiguredStage, _ digests: FileDigests) -> StageExecution {
    StageExecution(
      configured, in: workspace, digests, device: device, ranks: ranks,
      mayChangeDevice: pipeline.mayChangeDevice, observe)
  }

  /// Checks every stage that may have something to do.
  private func requireReady(_ last: String?, _ forced: Set<String>, _ digests: FileDigests) throws {
    let steps = try Planner.steps(of: pipeline, through: last, forced: forced, digests)
      .filter { $0.work != .nothing }
    for step in steps {
      if !pipeline.mayChangeDevice { try step.requireDevice(device) }
      try step.requireOwnPaths(in: workspace, digests)
    }
    try check(try steps.map { try PlannedWork($0, in: workspace) })
  }
}

// MARK: - Stages

extension Runner {
  private func bringUpToDate(
    _ last: String?, _ forced: Set<String>, _ merge: Merge?, _ digests: FileDigests
  ) throws {
    let stages = pipeline.stages(through: last)
    var planner = Planner(workspace, digests, forced: forced)
    var isSeen: Set<String> = []
    var mended: Set<String> = []
    var index = 0
    while index < stages.count {
      let configured = stages[index]
      let step = try planner.step(configured)
      let work = work(configured, digests)
      guard step.work != .nothing else {
        if isSeen.insert(configured.name).inserted {
          observe(.upToDate(stage: configured.name))
          for reason in step.reasons { observe(.said(stage: configured.name, text: reason)) }
        }
        if let merge, configured.name == last { try work.discardMerged(step, merge) }
        planner.pass(step, digests: try work.keep(step))
        index += 1
        continue
      }
      if let (maker, lost) = try damagedInput(of: step, planner, digests) {
        // Its reader found the damage; its maker makes it again.
        guard mended.insert(maker).inserted,
          let place = stages.firstIndex(where: { $0.name == maker })
        else {
          throw PipelineError.damaged(
            path: lost.path, reason: "\(lost.damage ?? "it is missing"); stage \(maker) wrote it")
        }
        index = place
        continue
      }
      if merge != nil, configured.name != last {
        throw PartError.notDone(
          stage: configured.name, wantedBy: last ?? "", reasons: step.reasons)
      }
      try step.requireOwnPaths(in: workspace, digests)
      try check([PlannedWork(step, in: workspace)])
      let artifacts: [String: String]
      do {
        artifacts = try work(step, merge)
      } catch let damage as DamagedArtifact {
        guard let maker = planner.maker(of: damage.artifact, for: step),
          mended.insert("\(maker) \(damage.artifact)").inserted,
          let place = stages.firstIndex(where: { $0.name == maker })
        else { throw damage }
        observe(.said(stage: configured.name, text: "\(damage); stage \(maker) rebuilds it"))
        planner.forced.insert(maker)
        index = place
        continue
      }
      isSeen.insert(configured.name)
      planner.forced.remove(configured.name)
      planner.pass(step, digests: artifacts)
      for maker in Set(planner.makers(for: step.stage).values) { try refresh(maker, digests) }
      index += 1
    }
  }

  /// Reads a stage's inputs and returns the first damaged file, with the stage that made it.
  private func damagedInput(
    of step: Planner.Step, _ planner: Planner, _ digests: FileDigests
  ) throws -> (maker: String, file: LostFile)? {
    for (artifact, maker) in planner.makers(for: step.stage).sorted(by: { $0.value < $1.value }) {
      guard let configured = pipeline.stages.first(where: { $0.name == maker }),
        var result = try StageRecord.load(from: workspace.recordPath(maker))?.result
      else { continue }
      let stage = try configured.make(StageContext(configured, in: workspace, digests))
      let paths = stage.writes[artifact] ?? []
      result.files = result.files.filter { file, _ in
        OutputCheck.covers(paths, file)
          && !OutputCheck.covers(configured.type.secondary, file)
          && !configured.type.checkedByReaders.contains { file.hasSuffix($0) }
      }
      let check = OutputCheck(ownPaths: configured.ownPaths(in: workspace), digests: digests)
      if let lost = try check(result, of: stage, readsAll: true).lost.first {
        return (maker, lost)
      }
    }
    return nil
  }

  /// Records changes that another stage made to a result without changing its meaning.
  private func refresh(_ maker: String, _ digests: FileDigests) throws {
    let path = workspace.recordPath(maker)
    guard let configured = pipeline.stages.first(where: { $0.name == maker }),
      var record = try StageRecord.load(from: path), record.phase == .done,
      let result = record.result
    else { return }
    let stage = try configured.make(StageContext(configured, in: workspace, digests))
    let check = OutputCheck(ownPaths: configured.ownPaths(in: workspace), digests: digests)
    let current = try check(result, of: stage).result
    guard current != result else { return }
    record.result = current
    try record.save(to: path)
  }
}

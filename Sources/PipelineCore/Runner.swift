import Files

/// Brings a pipeline's stages up to date, in order, and goes on where an earlier run ended.
public struct Runner {
  /// One of `count` parts into which the items of stages are split by hash; `index` from 1.
  public struct Partition: Equatable, Sendable {
    public let index: Int
    public let count: Int

    /// Nil unless 1 <= index <= count.
    public init?(index: Int, count: Int) {
      guard count >= 1, (1...count).contains(index) else { return nil }
      self.index = index
      self.count = count
    }

    /// Whether the item of this key belongs to the part; does not depend on the other items.
    func contains(_ key: String) -> Bool {
      let hash = SHA256.digest(of: Array(key.utf8)).prefix(8).reduce(0) { $0 << 8 | UInt64($1) }
      return hash % UInt64(count) == UInt64(index - 1)
    }
  }

  private let pipeline: Pipeline
  private let workspace: Workspace
  private let check: (any Stage) throws -> Void
  private let observe: (RunEvent) -> Void

  /// - Parameter check: is asked about every stage that has something to do, before the first one runs
  public init(
    _ pipeline: Pipeline, check: @escaping (any Stage) throws -> Void = { _ in },
    observe: @escaping (RunEvent) -> Void
  ) {
    self.pipeline = pipeline
    self.check = check
    self.observe = observe
    workspace = Workspace(path: pipeline.workspacePath)
  }

  /// Runs what is not up to date.
  ///
  /// - Parameters:
  ///   - last: ends after this stage; nil: after the last one.
  ///   - forced: stages to run from their beginning even if they are up to date.
  ///   - partition: of stages that can be split, only the items of this part; stages after one whose
  ///     other parts are missing are left.
  /// - Throws: ``Interruption`` if the user asked to stop.
  public func run(
    through last: String? = nil, forced: Set<String> = [], partition: Partition? = nil
  ) throws {
    let names = pipeline.stages.map(\.name)
    for name in forced.union(last.map { [$0] } ?? []).sorted() where !names.contains(name) {
      throw PipelineError.unknownStage(
        name: name, nearest: nearest(to: name, in: names), known: names)
    }
    let lock = try WorkspaceLock(workspace)
    defer { withExtendedLifetime(lock) {} }
    try Folders.removeLeftovers(in: workspace.path("state"))
    let digests = FileDigests(savedAt: workspace.digestsPath)
    let plan = try Plan(pipeline, through: last, forced: forced) { context($0, digests) }
    try digests.save(to: workspace.digestsPath)
    for step in plan.steps where !step.reasons.isEmpty {
      try check(try step.configured.make(context(step.configured, digests)))
    }
    for step in plan.steps {
      guard !step.reasons.isEmpty else {
        observe(.upToDate(stage: step.configured.name))
        continue
      }
      let isForced = forced.contains(step.configured.name)
      guard try run(step, isForced: isForced, partition, digests) else { return }
    }
    for step in plan.steps {
      let stage = try step.configured.make(context(step.configured, digests))
      for line in try stage.results() {
        observe(.result(stage: step.configured.name, text: line))
      }
    }
  }

  private func context(_ stage: ConfiguredStage, _ digests: FileDigests) -> StageContext {
    StageContext(
      workspace: workspace, digests: digests,
      progress: StageProgress(stage: stage.name, unit: stage.unit, observe: observe),
      planned: pipeline.plannedSettings)
  }
}

// MARK: - One stage

extension Runner {
  /// Runs one stage; false if other partitions of it are left.
  private func run(
    _ step: Plan.Step, isForced: Bool, _ partition: Partition?, _ digests: FileDigests
  ) throws -> Bool {
    let name = step.configured.name
    let context = context(step.configured, digests)
    let stage = try step.configured.make(context)
    let resumes = step.canResume && !isForced
    observe(.started(stage: name, reasons: step.reasons, resumed: resumes))
    var record = StageRecord(isDone: false, basis: step.basis)
    if resumes, let earlier = step.record {
      record = earlier
      record.isDone = false
    } else {
      // In this order: until the record says otherwise, what is there belongs to an earlier run.
      try stage.reset()
    }
    try record.save(to: workspace.recordPath(name))
    let left = try work(stage, &record, context.progress, partition)
    try record.save(to: workspace.recordPath(name))
    if left > 0 {
      observe(.partitionDone(stage: name, itemsLeft: left))
    } else {
      observe(
        .finished(
          stage: name, units: record.unitsTotal, unit: step.configured.unit,
          rejects: record.rejects, seconds: record.seconds, peakMemory: record.peakMemory))
    }
    return left == 0
  }

  /// Processes what is left and finishes the stage; returns the number of items of other partitions.
  private func work<S: Stage>(
    _ stage: S, _ record: inout StageRecord, _ progress: StageProgress, _ partition: Partition?
  ) throws -> Int {
    let secondsBefore = record.seconds
    let peakBefore = record.peakMemory
    let memory = PeakMemory()
    func update() {
      record.peakMemory = max(peakBefore, memory.byteCount)
      record.unitsDone = progress.recordedUnits
      record.unitsTotal = progress.total
      record.seconds = secondsBefore + progress.seconds
    }
    do {
      let pending = try stage.pendingItems()
      let items = pending.filter { item in
        guard let partition, let key = stage.partitionKey(of: item) else { return true }
        return partition.contains(key)
      }
      progress.begin(
        unitsBefore: try stage.finishedUnitCount(),
        unitsToDo: pending.reduce(0) { $0 + stage.unitCount(of: $1) })
      try stage.prepare()
      var lastSave = ContinuousClock.now
      for item in items {
        if let interruption = Interruption.pending { throw interruption }
        try handle(item, stage)
        progress.finishItem(units: stage.unitCount(of: item))
        guard ContinuousClock.now - lastSave > .seconds(2) else { continue }
        update()
        try record.save(to: workspace.recordPath(S.name))
        lastSave = .now
      }
      if let interruption = Interruption.pending { throw interruption }
      let left = items.count < pending.count ? try stage.pendingItems().count : 0
      if left == 0 { try stage.finish() }
      update()
      record.rejects = try stage.rejectCounts()
      record.isDone = left == 0
      return left
    } catch {
      // What stopped the work matters more than whether its progress could be noted.
      update()
      try? record.save(to: workspace.recordPath(S.name))
      throw error
    }
  }

  private func handle<S: Stage>(_ item: S.Item, _ stage: S) throws {
    let output: S.Output
    do {
      output = try stage.process(item)
    } catch let rejection as Rejection {
      return try stage.reject(item, because: rejection)
    }
    try stage.commit(output, of: item)
  }
}

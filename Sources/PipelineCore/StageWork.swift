import Files

/// One stage at work: makes a result, puts it in its place and keeps the record.
struct StageWork {
  private let configured: ConfiguredStage
  private let workspace: Workspace
  private let places: StagePlaces
  private let digests: FileDigests
  private let device: String
  private let observe: (RunEvent) -> Void
  private var name: String { configured.name }

  /// - Parameter device: what computes, for the record
  init(
    _ configured: ConfiguredStage, in workspace: Workspace, _ digests: FileDigests,
    device: String, _ observe: @escaping (RunEvent) -> Void
  ) {
    self.configured = configured
    self.workspace = workspace
    self.digests = digests
    self.device = device
    self.observe = observe
    places = configured.places(in: workspace)
  }

  private func save(_ record: StageRecord) throws {
    try record.save(to: workspace.recordPath(name))
  }

  /// Takes up what an earlier run left, however it ended.
  func settle(_ record: StageRecord) throws {
    try places.removeLeftovers()
    guard record.phase == .replacing, let next = record.next else { return }
    try places.replace(record.result, with: next)
    try save(StageRecord(phase: .done, run: next.run, result: next))
  }

  /// Leaves a finished result as it is; returns the digests of its artifacts.
  func keep(_ step: Planner.Step) throws -> [String: String] {
    guard var record = step.record, let result = record.result else { return [:] }
    // What was being made with other settings is wanted no more.
    let isAbandoned = record.phase == .building
    let settings = step.basis.settings
    if isAbandoned || result.run.basis.settings != settings {
      record = StageRecord(phase: .done, run: result.run, result: result)
      // Settings without effect, such as where the inputs lie, are those that hold now.
      record.run.basis.settings = settings
      record.result?.run.basis.settings = settings
      try save(record)
    }
    if isAbandoned { try places.discardBuilding() }
    return result.artifacts
  }

  /// Runs the stage; returns the digests of its artifacts, or nil if other partitions are left.
  func callAsFunction(
    _ step: Planner.Step, _ partition: Runner.Partition?
  ) throws -> [String: String]? {
    var (record, resumes) = try begin(step)
    if configured.type.usesDevice {
      record.run.note(device)
      try save(record)
    }
    observe(.started(stage: name, reasons: step.reasons, resumed: resumes))
    let left = try make(&record, partition, isForced: step.isForced)
    guard left == 0 else {
      try save(record)
      observe(.partitionDone(stage: name, itemsLeft: left))
      return nil
    }
    observe(
      .finished(
        stage: name, units: record.run.unitsTotal, unit: configured.unit,
        rejects: record.run.rejects, seconds: record.run.seconds,
        peakMemory: record.run.peakMemory))
    return record.result?.artifacts
  }

  /// Notes what is about to happen before it does.
  private func begin(_ step: Planner.Step) throws -> (record: StageRecord, resumes: Bool) {
    if case .repair(let lost) = step.work, var record = step.record, let result = record.result {
      if record.phase != .repairing {
        record.phase = .repairing
        record.foreign = try places.finalFiles().filter { result.files[$0] == nil }
      }
      record.run = result.run
      try save(record)
      try places.discardBuilding()
      for file in lost where file.damage != nil { try places.remove(file.relative) }
      return (record, true)
    }
    if step.work == .build(resumes: true), let record = step.record { return (record, true) }
    // In this order: until the record says otherwise, what is there belongs to an earlier making.
    let record = StageRecord(
      phase: .building, run: StageRun(basis: step.basis), result: step.record?.result)
    try save(record)
    try places.discardBuilding()
    return (record, false)
  }

  /// Makes a result and puts it in its place; returns the number of items that are left to other
  /// partitions.
  private func make(
    _ record: inout StageRecord, _ partition: Runner.Partition?, isForced: Bool
  ) throws -> Int {
    let isBuilding = record.phase == .building
    var context = StageContext(
      configured, in: workspace, digests, isBuilding: isBuilding, observe: observe)
    context.isForced = isForced
    let stage = try configured.make(context)
    try places.makeFolders(isBuilding: isBuilding)
    let left = try work(stage, &record, context.progress, partition)
    guard left == 0 else { return left }
    for folder in configured.type.scratch { try Folders.discard(context.output(folder)) }
    let files =
      isBuilding
      ? try places.builtFiles()
      : try places.finalFiles().filter { !record.foreign.contains($0) }
    let result = try StageResult(record.run, files: files, of: stage, digests) {
      isBuilding ? places.building($0) : places.final($0)
    }
    if isBuilding { try replace(record, with: result) }
    record = StageRecord(phase: .done, run: result.run, result: result)
    try save(record)
    return 0
  }

  /// Puts a complete result where it belongs.
  ///
  /// The record says so first, for another run to go on with.
  private func replace(_ record: StageRecord, with next: StageResult) throws {
    if record.result?.isUnlisted != true {
      let own = record.result?.files ?? [:]
      for path in next.files.keys.sorted() where own[path] == nil {
        guard !Folders.isThere(places.final(path)) else {
          throw WorkspaceError.occupied(path: places.final(path), stage: name)
        }
      }
    }
    var record = record
    record.phase = .replacing
    record.next = next
    try save(record)
    try places.replace(record.result, with: next)
    for (path, file) in next.files {
      if let digest = file.sha256 { try digests.assign(digest, toFile: places.final(path)) }
    }
  }
}

// MARK: - Items

extension StageWork {
  /// Processes what is left and finishes the stage; returns the number of items of other partitions.
  private func work<S: Stage>(
    _ stage: S, _ record: inout StageRecord, _ progress: StageProgress,
    _ partition: Runner.Partition?
  ) throws -> Int {
    let before = record.run
    // Intermediate files of a finished stage are gone, but their units belong to the result.
    let unitsGone = record.phase == .repairing ? before.unitsTotal : 0
    let memory = PeakMemory()
    func update() {
      record.run.peakMemory = max(before.peakMemory, memory.byteCount)
      record.run.unitsTotal = max(progress.total, unitsGone)
      record.run.unitsDone = record.run.unitsTotal - (progress.total - progress.recordedUnits)
      record.run.seconds = before.seconds + progress.seconds
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
        try save(record)
        lastSave = .now
      }
      if let interruption = Interruption.pending { throw interruption }
      let left = items.count < pending.count ? try stage.pendingItems().count : 0
      if left == 0 { try stage.finish() }
      update()
      record.run.rejects = try stage.rejectCounts()
      return left
    } catch {
      // What stopped the work matters more than whether its progress could be noted.
      update()
      try? save(record)
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

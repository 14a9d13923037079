import Files
import Ranks

/// Builds the result of one stage, puts it in place and keeps the record.
struct StageExecution {
  let configured: ConfiguredStage
  let workspace: Workspace
  let ownPaths: StagePaths
  let digests: FileDigests
  let device: RunDevice
  private let ranks: Communicator
  let mayChangeDevice: Bool
  let observe: (RunEvent) -> Void
  var name: String { configured.name }
  var attempts: Attempts { Attempts(at: configured, in: workspace, ownPaths) }

  /// - Parameter device: the device, for the record
  init(
    _ configured: ConfiguredStage, in workspace: Workspace, _ digests: FileDigests,
    device: RunDevice, ranks: Communicator, mayChangeDevice: Bool,
    _ observe: @escaping (RunEvent) -> Void
  ) {
    self.configured = configured
    self.workspace = workspace
    self.digests = digests
    self.device = device
    self.ranks = ranks
    self.mayChangeDevice = mayChangeDevice
    self.observe = observe
    var ownPaths = configured.ownPaths(in: workspace)
    let name = configured.name
    ownPaths.onKeeping = { path, kept in
      observe(
        .kept(stage: name, text: "\(path) was changed since it was written; it is kept as \(kept)"))
    }
    self.ownPaths = ownPaths
  }

  private func save(_ record: StageRecord) throws {
    try record.save(to: workspace.recordPath(name))
  }

  /// Cleans up after an earlier run, however it ended.
  func settle(_ record: StageRecord) throws {
    try ownPaths.removeLeftovers(
      of: [record.result, record.next].flatMap { $0?.files.keys.sorted() ?? [] }
        + configured.type.spare + configured.type.secondary + configured.type.scratch,
      in: configured.type.scratch)
    // Copies in transit from a scratch folder.
    for database in (configured.type as? any DivisibleStage.Type)?.databases ?? [] {
      try Folders.removeLeftovers(of: workspace.path(database))
    }
    guard record.phase == .replacing, let next = record.next else { return }
    try ownPaths.replace(record.result, with: next, digests)
    try save(StageRecord(phase: .done, run: next.run, result: next))
  }

  /// Keeps a finished result; returns the digests of its artifacts.
  func keep(_ step: Planner.Step) throws -> [String: String] {
    guard var record = step.record, let result = record.result else { return [:] }
    // A result begun with other settings is no longer wanted.
    let isAbandoned = record.phase == .building
    if isAbandoned { try attempts.setAside(record) }
    let settings = step.basis.settings
    if isAbandoned || result.run.basis.settings != settings {
      record = StageRecord(phase: .done, run: result.run, result: result)
      // Settings without effect, such as the location of inputs, take their current values.
      record.run.basis.settings = settings
      record.result?.run.basis.settings = settings
      try save(record)
    }
    return result.artifacts
  }

  /// Runs the stage; returns the digests of its artifacts.
  ///
  /// - Parameter merge: takes outputs only from parts
  func callAsFunction(_ step: Planner.Step, _ merge: Runner.Merge?) throws -> [String: String] {
    let parts = try parts(of: step)
    try requireParts(step, parts, isMerge: merge != nil)
    var (record, resumes) = try begin(step)
    var begun = record.run.devices.last ?? parts?.files.first?.device
    let takenOver = try takenOver(by: step, record, on: begun)
    if configured.type.usesDevice {
      begun = begun ?? takenOver.devices.last
      try note(
        parts, takenOver.devices + (merge == nil ? [try turn(to: begun)] : []), in: &record.run)
      try save(record)
    }
    observe(.started(stage: name, reasons: step.reasons, resumed: resumes))
    if let text = takenOver.message { observe(.said(stage: name, text: text)) }
    try takenOver.copy(to: ownPaths)
    try make(&record, step, parts, merge)
    observe(
      .finished(
        stage: name, units: record.run.unitsTotal, unit: configured.unit,
        rejections: record.run.rejections, seconds: record.run.seconds,
        peakMemory: record.run.peakMemory))
    return record.result?.artifacts ?? [:]
  }

  /// Returns the stage's parts; nil if it cannot have any.
  func parts(of step: Planner.Step) throws -> PartIndex? {
    guard configured.type is any DivisibleStage.Type, !step.isForced else { return nil }
    let index = try PartIndex(
      folder: workspace.partsPath(name), basis: try step.basis.forParts(of: step.stage))
    if let other = index.others.first {
      observe(
        .said(
          stage: name,
          text: (index.others.count == 1
            ? "a part file is ignored: it was made with different settings or inputs: "
            : "\(index.others.count) part files are ignored: they were made with different settings or "
              + "inputs, such as ") + "\(other.path) (\(other.changes[0]))"))
    }
    return index
  }

  private func turn(to begun: String?) throws -> String {
    try device.turn(to: begun, mayChange: mayChangeDevice)
  }

  /// Records the devices that computed the parts and will compute the rest.
  private func note(_ parts: PartIndex?, _ own: [String], in run: inout StageRun) throws {
    let devices = Set(parts?.files.map(\.device) ?? []).sorted() + own
    for device in devices {
      if let last = run.devices.last, last != device, !mayChangeDevice {
        throw PipelineError.otherDevice(stage: name, begun: last, now: device)
      }
      run.note(device)
    }
  }

  /// Records what is about to happen before it does.
  private func begin(_ step: Planner.Step) throws -> (record: StageRecord, resumes: Bool) {
    if case .repair(let lost) = step.work, var record = step.record, let result = record.result {
      // In this order: what is being built is known to be the stage's only while the record says
      // so.
      if record.phase == .building { try ownPaths.discardBuilding() }
      try keepAside(lost)
      if record.phase != .repairing {
        // Only now: files that belong to no artifact grow while others are rebuilt.
        for (path, file) in result.files where !file.isRead {
          try ownPaths.keepForeign(path, file, digests)
        }
        record.phase = .repairing
        record.foreign = try ownPaths.finalFiles().filter { result.files[$0] == nil }
      }
      record.run = result.run
      try save(record)
      return (record, true)
    }
    if step.work == .build(resumes: true), let record = step.record {
      try attempts.takeUp(step.basis)
      return (record, true)
    }
    // In this order: until the record says otherwise, these files belong to an earlier build.
    if let earlier = step.record, earlier.phase == .building,
      !step.basis.changes(since: earlier.run.basis).isEmpty
    {
      try attempts.setAside(earlier)
    }
    let kept = step.isForced ? nil : try attempts.run(of: step.basis)
    let record = StageRecord(
      phase: .building, run: kept ?? StageRun(basis: step.basis), result: step.record?.result,
      isForced: step.isForced)
    try save(record)
    try ownPaths.discardBuilding()
    if kept != nil { try attempts.takeUp(step.basis) }
    return (record, kept != nil)
  }

  /// Builds a result and puts it in place.
  private func make(
    _ record: inout StageRecord, _ step: Planner.Step, _ parts: PartIndex?, _ merge: Runner.Merge?
  ) throws {
    let isBuilding = record.phase == .building
    var context = StageContext(
      configured, in: workspace, digests, isBuilding: isBuilding, observe: observe)
    context.isForced = step.isForced || record.isForced
    context.ranks = ranks
    let partFiles = workspace.partFilesPath(name, try step.basis.forParts(of: step.stage))
    context.partFolder = partFiles
    context.hasParts = parts?.isEmpty == false
    context.scratch = try scratch(merge, context)
    let stage = try configured.make(context)
    try ownPaths.makeFolders(isBuilding: isBuilding)
    try context.call(configured, on: record.run.devices.last)
    let summary: WorkSummary
    do {
      summary = try work(stage, &record, context, parts, isMerge: merge != nil)
    } catch let interruption as Interruption {
      try context.dismiss()
      throw interruption
    }
    try context.scratch?.moveIntoPlace()
    for folder in configured.type.scratch {
      try ownPaths.discard(folder, at: context.output(folder))
    }
    let files =
      isBuilding
      ? try ownPaths.builtFiles().filter(ownPaths.owns)
      : try ownPaths.finalFiles().filter { !record.foreign.contains($0) && ownPaths.owns($0) }
    let result = try StageResult(
      record.run, files: files, of: stage, digests, knowing: summary
    ) {
      isBuilding ? ownPaths.building($0) : ownPaths.final($0)
    }
    if isBuilding { try replace(record, with: result, step.stage) }
    record = StageRecord(phase: .done, run: result.run, result: result)
    try save(record)
    try parts?.remove(partFiles)
  }

  /// Returns databases elsewhere, if a merge is to build them there.
  private func scratch(
    _ merge: Runner.Merge?, _ context: StageContext
  ) throws -> ScratchDatabases? {
    guard let folder = merge?.scratch, let type = configured.type as? any DivisibleStage.Type
    else { return nil }
    return try ScratchDatabases(in: folder, for: type.databases.map(context.database))
  }

  /// Moves away foreign files in the place of a finished result's files.
  private func keepAside(_ lost: [LostFile]) throws {
    // A folder appeared while the stage worked: the file cannot replace it, which is reported then.
    for file in lost where file.damage != nil && !Folders.isFolder(file.path) {
      // The target of a link stays where it is.
      guard Folders.byteCount(of: file.path) > 0, !Folders.isLink(file.path) else {
        try ownPaths.remove(file.relative)
        continue
      }
      try ownPaths.keepAside(file.relative)
    }
  }

  /// Puts a complete result in place.
  ///
  /// The record says so first, so that another run can continue.
  ///
  /// - Parameter finished: the stage, for queries about its finished result
  private func replace(
    _ record: StageRecord, with next: StageResult, _ finished: any Stage
  ) throws {
    if record.result?.isUnlisted != true {
      let own = record.result?.files ?? [:]
      for path in next.files.keys.sorted() where own[path] == nil {
        guard !Folders.isThere(ownPaths.final(path)) else {
          throw WorkspaceError.occupied(path: ownPaths.final(path), stage: name)
        }
      }
    }
    var record = record
    if let earlier = record.result {
      let check = OutputCheck(ownPaths: ownPaths, digests: digests)
      let (lost, current) = try check(earlier, of: finished)
      try keepAside(lost)
      // Databases, whose bytes may change without their content.
      record.result = current
    }
    record.phase = .replacing
    record.next = next
    try save(record)
    try ownPaths.replace(record.result, with: next, digests)
    for (path, file) in next.files {
      if let digest = file.sha256 { try digests.assign(digest, toFile: ownPaths.final(path)) }
    }
  }
}

// MARK: - Items

extension StageExecution {
  /// Processes the remaining items, or takes them from parts, and finishes the stage.
  private func work<S: Stage>(
    _ stage: S, _ record: inout StageRecord, _ context: StageContext, _ parts: PartIndex?,
    isMerge: Bool
  ) throws -> WorkSummary {
    let progress = context.progress
    let secondsBefore = ranks.seconds
    let before = record.run
    // Intermediate files of a (nearly) finished stage are gone, but their units belong to the
    // result.
    let unitsGone = before.unitsTotal
    let memory = PeakMemory()
    func update() {
      record.run.peakMemory = max(before.peakMemory, memory.byteCount)
      record.run.unitsTotal = max(progress.total, unitsGone)
      record.run.unitsDone = record.run.unitsTotal - (progress.total - progress.recordedUnits)
      record.run.seconds = before.seconds + progress.seconds
    }
    do {
      let plan = try stage.workPlan()
      let outputs = parts.flatMap { PartOutputs(plan, $0) }
      if isMerge { try outputs?.requireAll(plan.items, of: name) }
      progress.begin(
        unitsBefore: plan.finishedUnitCount, unitsToDo: plan.unitCount(of: plan.items))
      // From here on the amount of work is known, to observers as well.
      update()
      try save(record)
      let work = try plan.begin()
      // A merge also computes what parts leave to it.
      var mustTurn = context.hasParts && configured.type.usesDevice
      var lastSave = ContinuousClock.now
      var rest = plan.items[...]
      while let item = rest.first {
        if let interruption = Interruption.pending { throw interruption }
        let taken = try outputs.map { try take(rest, from: $0, work, plan, progress) } ?? 0
        if taken == 0 {
          if mustTurn {
            try note(nil, [try turn(to: record.run.devices.last)], in: &record.run)
            mustTurn = false
          }
          try handle(item, work)
          progress.finishItem(units: plan.unitCount(item))
        }
        rest = rest.dropFirst(max(1, taken))
        guard ContinuousClock.now - lastSave > .seconds(2) else { continue }
        update()
        try save(record)
        lastSave = .now
      }
      if let interruption = Interruption.pending { throw interruption }
      if ranks.isBusy {
        progress.say(
          "exchanges with \(ranks.count - 1) other rank\(ranks.count == 2 ? "" : "s"), including waits, "
            + "took \(rounded(ranks.seconds - secondsBefore)) s of "
            + "\(rounded(progress.seconds)) s")
      }
      try context.dismiss()
      let summary = try work.finish()
      update()
      record.run.rejections = summary.rejections
      return summary
    } catch {
      // The error that stopped the work matters more than whether its progress was recorded.
      update()
      try? save(record)
      throw error
    }
  }

  private func rounded(_ seconds: Double) -> Double { (seconds * 10).rounded() / 10 }

  private func handle<Work: StageWork>(_ item: Work.Item, _ work: Work) throws {
    let output: Work.Output
    do {
      output = try work.process(item)
    } catch let rejection as Rejection {
      return try work.reject(item, because: rejection)
    }
    try work.commit(output, of: item)
  }
}

import Files

extension Runner {
  /// Processes one part of a stage's items into a file below `parts/`, and changes nothing else
  /// except devices' caches.
  ///
  /// Takes no lock: any number of parts may run simultaneously, on any number of machines. What an
  /// earlier attempt at the same part finished is not repeated.
  ///
  /// - Parameter environment: gives the number of the attempt
  /// - Throws: ``Interruption`` if the user asked to stop
  public func runPart(
    _ partition: Partition, of stage: String, environment: [String: String] = [:]
  ) throws {
    let configured = try divisible(stage)
    try workspace.requireUsable(knowing: pipeline.knownNames)
    // Known digests count: no part reads what only the merge has to compare. In a copy of the
    // workspace none are known: stages' outputs are assumed unchanged, and their inputs are read.
    let known = FileDigests(savedAt: workspace.digestsPath, budget: 0, readsUnknown: true)
    var planner = Planner(workspace, known, isPart: true)
    for earlier in pipeline.stages(through: stage).dropLast() {
      let step = try planner.step(earlier)
      guard step.work == .nothing else {
        throw PartError.notDone(stage: earlier.name, wantedBy: stage, reasons: step.reasons)
      }
      planner.pass(step, digests: step.record?.result?.artifacts)
    }
    let step = try planner.step(configured)
    switch step.work {
    // Files that were touched and not read may have changed.
    case .nothing where step.unread.isEmpty: return observe(.upToDate(stage: stage))
    case .nothing, .build: break
    case .repair, .unknown: throw PartError.needsRun(stage: stage, reasons: step.reasons)
    }
    try check([PlannedWork(step, in: workspace)])
    let digests = FileDigests(savedAt: workspace.digestsPath)
    var context = StageContext(
      configured, in: workspace, digests, isBuilding: true, observe: observe)
    context.isPart = true
    // The part's inputs decide where its files go; only an instantiated stage knows them.
    let basis = try step.basis.forParts(of: configured.make(context))
    context.partFolder = workspace.partFilesPath(stage, basis)
    guard let made = try configured.make(context) as? any DivisibleStage else { return }
    try run(partition, of: made, basis, context.progress, environment)
  }

  /// - Throws: if the stage does not exist or cannot be divided
  func divisible(_ name: String) throws -> ConfiguredStage {
    let names = pipeline.stages.map(\.name)
    guard let configured = pipeline.stages.first(where: { $0.name == name }) else {
      throw PipelineError.unknownStage(
        name: name, nearest: nearest(to: name, in: names), known: names)
    }
    func isDivisible(_ stage: ConfiguredStage) -> Bool { stage.type is any DivisibleStage.Type }
    guard isDivisible(configured) else {
      throw PartError.notDivisible(
        stage: name, known: pipeline.stages.filter(isDivisible).map(\.name))
    }
    return configured
  }

  private func run<S: DivisibleStage>(
    _ partition: Partition, of stage: S, _ basis: StageBasis, _ progress: StageProgress,
    _ environment: [String: String]
  ) throws {
    let folder = workspace.partsPath(S.name)
    let earlier = try tries(of: partition, in: folder, basis.fingerprint)
    let plan = try stage.workPlan()
    let pending = plan.items.compactMap { item in
      plan.division?.position(of: item).map { (item: item, position: $0) }
    }
    guard let division = plan.division, plan.items.isEmpty || !pending.isEmpty else {
      throw PartError.needsRun(stage: S.name, reasons: ["none with these settings"])
    }
    let share = pending.filter { partition.contains(position: $0.position) }
    if let complete = earlier.first(where: \.isComplete) {
      try complete.verify()
      observe(
        .partDone(
          stage: S.name, part: partition, items: share.count, total: pending.count,
          path: complete.path))
      return
    }
    let done = Set(earlier.flatMap { $0.entries.map(\.key) })
    let left = try share.map { ($0.item, $0.position, key: try division.key(of: $0.item)) }
      .filter { !done.contains(PartKey(of: $0.key)) }
    let unitsLeft = plan.unitCount(of: left.map { $0.0 })
    progress.begin(
      unitsBefore: plan.unitCount(of: share.map(\.item)) - unitsLeft, unitsToDo: unitsLeft)
    observe(
      .started(
        stage: S.name,
        reasons: ["part \(partition)" + (partition.variable.map { " from \($0)" } ?? "")],
        resumed: !done.isEmpty))
    let device = try device.turn(
      to: earlier.last?.header.device ?? anyDevice(of: basis.fingerprint, in: folder),
      mayChange: pipeline.mayChangeDevice)
    let work = Deferred(plan.begin)
    if !left.isEmpty { _ = try work() }
    let header = PartHeader(
      stage: S.name, partition: partition, basis: basis, device: device, itemCount: pending.count)
    let writer = try PartWriter(header, in: folder, attempt: PartName.attempt(in: environment))
    do {
      for (item, position, key) in left {
        if let interruption = Interruption.pending { throw interruption }
        let (kind, output) = try output(of: item, work(), division)
        try writer.append(kind, position: position, key: key, output: output)
        progress.finishItem(units: plan.unitCount(item))
      }
      try writer.finish()
    } catch {
      // The error that stopped the work matters more than whether its last seconds are durable.
      try? writer.sync()
      throw error
    }
    observe(
      .partDone(
        stage: S.name, part: partition, items: share.count, total: pending.count, path: writer.path)
    )
  }

  private func output<Work: StageWork>(
    of item: Work.Item, _ work: Work, _ division: any Division<Work.Item, Work.Output>
  ) throws -> (PartEntry.Kind, [UInt8]) {
    var output = OutputWriter()
    do {
      try division.write(try work.process(item), of: item, to: &output)
      return (.output, output.bytes)
    } catch let rejection as Rejection {
      output = OutputWriter()
      output.add(rejection.code)
      output.add(rejection.reason)
      return (.rejection, output.bytes)
    }
  }

  /// Returns the files of this part's other attempts, earlier or concurrent.
  private func tries(
    of partition: Partition, in folder: String, _ fingerprint: String
  ) throws -> [PartFile] {
    try Folders.names(in: folder).filter { PartName.matches($0, partition) }
      .compactMap { try PartFile(path: "\(folder)/\($0)") }
      .filter {
        $0.header.fingerprint == fingerprint && $0.header.index == partition.index
          && $0.header.count == partition.count
      }
  }

  /// Returns the device of another part whose outputs belong with this one's.
  private func anyDevice(of fingerprint: String, in folder: String) throws -> String? {
    try Folders.names(in: folder).lazy.filter { $0.hasSuffix(PartName.ending) }
      .compactMap { (try? PartFile(path: "\(folder)/\($0)"))?.header }
      .first { $0.fingerprint == fingerprint }?.device
  }
}

extension StageBasis {
  /// Returns what the outputs of a stage's items depend on beyond the items.
  func forParts(of stage: any Stage) throws -> StageBasis {
    guard let stage = stage as? any DivisibleStage else { return self }
    var basis = self
    var seen: Set<String> = []
    basis.inputs = try stage.partInputs().filter { seen.insert($0.name).inserted }
    return basis
  }
}

extension Workspace {
  /// Returns the folder where parts of one basis put files too large to be copied.
  func partFilesPath(_ stage: String, _ basis: StageBasis) -> String {
    "\(partsPath(stage))/\(basis.fingerprint.prefix(16))"
  }
}

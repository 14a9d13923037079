import Files

extension StageExecution {
  /// Rejects a merge with gaps, and parts whose inputs are gone (which would be deleted), before
  /// anything is written.
  ///
  /// While nothing has begun, the stage can be instantiated as for a part, which changes nothing.
  /// Once it has begun, the stage itself knows what remains.
  func requireParts(_ step: Planner.Step, _ parts: PartIndex?, isMerge: Bool) throws {
    guard let parts, isMerge || !parts.isEmpty, step.work == .build(resumes: false),
      try attempts.run(of: step.basis) == nil,
      let type = configured.type as? any DivisibleStage.Type,
      // Parts do not read the write-ahead log.
      type.databases.allSatisfy({ Folders.byteCount(of: workspace.path($0) + "-wal") == 0 })
    else { return }
    var context = StageContext(
      configured, in: workspace, digests, isBuilding: true, observe: observe)
    context.isPart = true
    func require<D: DivisibleStage>(_ stage: D) throws {
      guard isMerge || D.needsAllParts else { return }
      let plan = try stage.workPlan()
      let outputs = PartOutputs(plan, parts)
      if isMerge { try outputs?.requireAll(plan.items, of: name) }
      if D.needsAllParts { try outputs?.requireUsed(plan.items, of: name) }
    }
    if let stage = try configured.make(context) as? any DivisibleStage { try require(stage) }
  }

  /// Removes the parts of a finished stage, and what a merge left if it was killed at that point.
  func discardMerged(_ step: Planner.Step, _ merge: Runner.Merge) throws {
    guard let type = configured.type as? any DivisibleStage.Type else { return }
    let partFiles = workspace.partFilesPath(name, try step.basis.forParts(of: step.stage))
    try parts(of: step)?.remove(partFiles)
    guard let scratch = merge.scratch else { return }
    let context = StageContext(configured, in: workspace, digests, observe: observe)
    try ScratchDatabases.removeLeftovers(in: scratch, for: type.databases.map(context.database))
  }

  /// Commits the outputs of the leading items that parts have; returns their number.
  ///
  /// A transaction per item would dominate the cost: transactions end after some bytes or some
  /// time.
  func take<Work: StageWork>(
    _ items: ArraySlice<Work.Item>, from parts: PartOutputs<Work.Item, Work.Output>, _ work: Work,
    _ plan: WorkPlan<Work>, _ progress: StageProgress
  ) throws -> Int {
    guard let first = items.first, try parts.place(of: first) != nil else { return 0 }
    let start = ContinuousClock.now
    var count = 0
    var byteCount = 0
    try work.together {
      for item in items {
        guard let place = try parts.place(of: item) else { break }
        do {
          try work.commit(try parts.output(of: item, at: place), of: item)
        } catch let rejection as Rejection {
          try work.reject(item, because: rejection)
        }
        progress.finishItem(units: plan.unitCount(item))
        count += 1
        byteCount += place.entry.byteCount
        if byteCount >= 64 << 20 || ContinuousClock.now - start > .seconds(2)
          || Interruption.pending != nil
        {
          break
        }
      }
    }
    return count
  }
}

import Files

extension StageExecution {
  /// Refuses gaps, of a merge, and parts of what is gone, which would be removed, before anything is written.
  ///
  /// Nothing is begun yet, so the stage can be asked as a part asks it, which changes nothing. Of what is begun,
  /// the stage itself knows what is left.
  func requireParts(_ step: Planner.Step, _ parts: PartIndex?, isMerge: Bool) throws {
    guard let parts, isMerge || !parts.isEmpty, step.work == .build(resumes: false),
      try attempts.run(of: step.basis) == nil,
      let type = configured.type as? any DivisibleStage.Type,
      // Parts do not read what was not written back.
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

  /// Removes the parts of a stage that is done, and what else a merge leaves that was killed when it was.
  func discardMerged(_ step: Planner.Step, _ merge: Runner.Merge) throws {
    guard let type = configured.type as? any DivisibleStage.Type else { return }
    let partFiles = workspace.partFilesPath(name, try step.basis.forParts(of: step.stage))
    try parts(of: step)?.remove(partFiles)
    guard let scratch = merge.scratch else { return }
    let context = StageContext(configured, in: workspace, digests, observe: observe)
    try ScratchDatabases.removeLeftovers(in: scratch, for: type.databases.map(context.database))
  }

  /// Commits the outputs of the first items, as far as parts have them; returns of how many.
  ///
  /// A transaction an item would cost more than anything else: they end after some bytes or some time.
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

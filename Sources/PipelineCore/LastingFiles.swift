/// Files of a result that some settings and inputs do not change: a new result takes them over from an earlier one.
public struct LastingFiles {
  let names: [FileNamePattern]
  let otherSettings: Set<String>
  let dependOn: (String) -> Bool

  /// - Parameters:
  ///   - names: as in `Stage.fileNames`
  ///   - otherSettings: settings, as spelled in files, that do not change them
  ///   - dependOn: whether they depend on an input or an artifact, by its name
  public init(
    _ names: [String], otherSettings: Set<String>, dependOn: @escaping (String) -> Bool
  ) {
    self.names = names.map(FileNamePattern.init)
    self.otherSettings = otherSettings
    self.dependOn = dependOn
  }
}

extension StageBasis {
  /// Whether files are the same as they were on an earlier basis.
  func keeps(_ files: LastingFiles, since earlier: StageBasis) -> Bool {
    func part(_ basis: StageBasis) -> StageBasis {
      var part = basis
      part.settingsWithoutEffect = settingsWithoutEffect.union(files.otherSettings)
      part.inputs = basis.inputs.filter { files.dependOn($0.name) }
      part.upstream = basis.upstream.filter { files.dependOn($0.key) }
      return part
    }
    return part(self).changes(since: part(earlier)).isEmpty
  }
}

/// What a new result takes over from the finished one that it replaces, and from unfinished ones set aside.
struct TakenOver {
  /// The devices that computed the files.
  private(set) var devices: [String] = []
  /// The current place of each file, by its path in the workspace.
  private var sources: [String: String] = [:]

  /// Adds the lasting files among those of an earlier run.
  ///
  /// - Parameter files: their places, by their paths in the workspace
  fileprivate mutating func add(
    _ files: [String: String], of run: StageRun, _ names: [FileNamePattern]
  ) {
    guard devices.isEmpty || run.devices == devices else { return }
    let kept = files.filter { file in names.contains { $0.matches(file.key) } }
    guard !kept.isEmpty else { return }
    devices = run.devices
    sources.merge(kept) { first, _ in first }
  }

  /// Nil if there is nothing.
  var message: String? {
    sources.isEmpty
      ? nil
      : "files taken over from an earlier result, since nothing has changed that they depend on: "
        + "\(sources.count)"
  }

  /// Copies the files to where the new result is built.
  func copy(to ownPaths: StagePaths) throws {
    for (relative, source) in sources.sorted(by: { $0.key < $1.key }) {
      let target = ownPaths.building(relative)
      try Folders.make(Folders.parent(of: target))
      try Folders.copyFile(source, to: target)
    }
  }
}

extension StageExecution {
  /// Finds the files that the result being built can take over.
  ///
  /// - Parameter begun: the device that computed what there is of the new result; nil if none did
  func takenOver(
    by step: Planner.Step, _ record: StageRecord, on begun: String?
  ) throws -> TakenOver {
    var takenOver = TakenOver()
    let lasting = try step.stage.lastingFiles()
    guard record.phase == .building, !record.isForced, !lasting.isEmpty else { return takenOver }
    func add(_ files: [String: String], of run: StageRun) {
      let isAble =
        Set(run.devices).count < 2
        && run.devices.allSatisfy { begun == $0 || begun == nil && device.isAble(toContinue: $0) }
      guard isAble || mayChangeDevice else { return }
      takenOver.add(
        files.filter { !Folders.isThere(ownPaths.building($0.key)) }, of: run,
        lasting.filter { step.basis.keeps($0, since: run.basis) }.flatMap(\.names))
    }
    if let result = record.result, !result.isUnlisted {
      let check = OutputCheck(ownPaths: ownPaths, digests: digests)
      let lost = Set(try check(result, of: step.stage).lost.map(\.relative))
      let files = result.files.filter { $0.value.isRead && !lost.contains($0.key) }
      add(
        Dictionary(uniqueKeysWithValues: files.map { ($0.key, ownPaths.final($0.key)) }),
        of: result.run)
    }
    for attempt in try attempts.all() {
      add(try ownPaths.files(aside: attempt.fingerprint), of: attempt.run)
    }
    return takenOver
  }
}

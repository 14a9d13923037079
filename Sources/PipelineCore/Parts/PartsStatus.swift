public import Files

/// The progress of a stage's parts, and which are still to be run.
public struct PartsStatus: Equatable, Sendable {
  /// The number of parts in the division that most files use.
  public var count = 0
  public var complete: [Int] = []
  /// Parts that are running or stopped.
  public var unfinished: [Int] = []
  public var missing: [Int] = []
  /// The number of distinct items in the files.
  public var itemsDone = 0
  public var itemsTotal = 0
  /// The paths of files with other settings or inputs: a merge that meets one is refused.
  public var otherFiles: [String] = []
  /// Damage to files, one line each.
  public var damage: [String] = []

  /// Whether a merge would find all items.
  public var isComplete: Bool { itemsDone >= itemsTotal && damage.isEmpty }

  /// The parts to run, or to wait for, in job array notation.
  public var again: String { isComplete ? "" : (unfinished + missing).sorted().asArray }

  public var json: JSON {
    func list(_ numbers: [Int]) -> JSON { .array(numbers.map { .integer($0) }) }
    return [
      "count": .integer(count), "done": list(complete), "unfinished": list(unfinished),
      "missing": list(missing), "array": .string(again), "items_done": .integer(itemsDone),
      "items_total": .integer(itemsTotal), "other_files": .integer(otherFiles.count),
      "damaged": .array(damage.map { .string($0) }),
    ]
  }

  /// The status in words, one line each.
  public var lines: [String] {
    var lines = damage
    if let other = otherFiles.first {
      lines.append(
        otherFiles.count == 1
          ? "\(other): made with different settings or inputs; remove it before --merge"
          : "\(otherFiles.count) part files were made with different settings or inputs, such as \(other); "
            + "remove them before --merge")
    }
    guard count > 0 else { return lines }
    var text = "in parts: \(complete.count) of \(count) complete"
    if !unfinished.isEmpty { text += ", \(unfinished.count) unfinished" }
    text += ", \(itemsDone) of \(itemsTotal) items"
    if isComplete {
      text += otherFiles.isEmpty ? "; all complete: run with --merge" : "; all complete"
    } else {
      if !unfinished.isEmpty { text += "; unfinished: --array=\(unfinished.asArray)" }
      if !missing.isEmpty { text += "; missing: --array=\(missing.asArray)" }
    }
    return lines + [text]
  }

  /// Scans a folder; nil if there are no parts in it.
  ///
  /// - Parameter fingerprint: the fingerprint of what the outputs depend on now; nil if not known
  ///   yet
  init?(folder: String, fingerprint: String?) throws {
    var keys: Set<PartKey> = []
    var states: [Int: [Int: Bool]] = [:]
    for name in try Folders.names(in: folder) where name.hasSuffix(PartName.ending) {
      do {
        guard let part = try PartFile(path: "\(folder)/\(name)") else { continue }
        let header = part.header
        guard fingerprint == nil || header.fingerprint == fingerprint else {
          otherFiles.append("\(folder)/\(name)")
          continue
        }
        keys.formUnion(part.entries.map(\.key))
        itemsTotal = max(itemsTotal, header.itemCount)
        states[header.count, default: [:]][header.index, default: false] =
          part.isComplete || states[header.count]?[header.index] == true
      } catch let error as PartError {
        damage.append("\(error)")
      }
    }
    itemsDone = keys.count
    let most = states.max { ($0.value.count, $0.key) < ($1.value.count, $1.key) }
    if let (count, parts) = most {
      self.count = count
      complete = parts.filter(\.value).keys.sorted()
      unfinished = parts.filter { !$0.value }.keys.sorted()
      // A header may name any number of parts; nobody runs more parts than items.
      missing = (0..<min(count, 1 << 20)).lazy.map { $0 + 1 }.filter { parts[$0] == nil }
    }
    guard most != nil || !otherFiles.isEmpty || !damage.isEmpty else { return nil }
  }
}

extension Planner.Step {
  /// Returns the status of the stage's parts; nil if there are none or they are no longer needed.
  func partsStatus(in workspace: Workspace) throws -> PartsStatus? {
    let folder = workspace.partsPath(configured.name)
    guard work != .nothing, configured.type is any DivisibleStage.Type, Folders.exists(folder)
    else {
      return nil
    }
    let fingerprint = work == .unknown ? nil : try basis.forParts(of: stage).fingerprint
    return try PartsStatus(folder: folder, fingerprint: fingerprint)
  }
}

extension ConfiguredStage {
  /// Returns the files that parts of a finished stage have left.
  func partsGarbage(in workspace: Workspace) throws -> [Garbage] {
    let folder = workspace.partsPath(name)
    let files = try StagePaths.leaves(folder).filter { isPartFile($0, in: folder) }
    guard !files.isEmpty else { return [] }
    let paths = files.map { "\(folder)/\($0)" }
    return [
      Garbage(
        "\(folder): parts of a stage that is done",
        byteCount: paths.reduce(0) { $0 + Folders.byteCount(of: $1) }
      ) {
        for path in paths {
          try Folders.remove(path)
          try Folders.removeIfEmpty(Folders.parent(of: path))
        }
        try Folders.removeIfEmpty(folder)
        try Folders.removeIfEmpty(workspace.path("parts"))
      }
    ]
  }

  /// Whether the file is a part, or belongs to one: `0123456789abcdef/NAME`.
  private func isPartFile(_ file: String, in folder: String) -> Bool {
    let names = file.split(separator: "/")
    if names.count == 1 {
      return file.hasSuffix(PartName.ending) && PartFile.isPart("\(folder)/\(file)")
    }
    guard names.count == 2, names[0].count == 16, names[0].allSatisfy(\.isHexDigit) else {
      return false
    }
    return type.ownPaths.contains { place in
      type.fileNames.contains { FileNamePattern($0).matches(place + names[1]) }
    }
  }
}

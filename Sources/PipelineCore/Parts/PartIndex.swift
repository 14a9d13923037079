import Files

/// An index of the parts of a stage: which file holds each item's output.
struct PartIndex {
  /// The location of an output.
  struct Place {
    let file: Int
    let entry: PartEntry
  }

  struct File {
    let path: String
    let index: Int
    let count: Int
    let device: String
  }

  let folder: String
  /// Files with the same settings and inputs.
  private(set) var files: [File] = []
  /// Files with other settings or inputs, and the differences.
  private(set) var others: [(path: String, changes: [String])] = []
  /// Files whose writers were killed before they wrote a header.
  private var beginnings: [String] = []
  private var positions: [PartKey: Place] = [:]
  private let open: OpenFiles

  /// Reads the heads of all parts in a folder.
  ///
  /// - Parameter basis: what the stage's outputs depend on now
  /// - Throws: ``PartError`` if a file is damaged or two have different outputs for an item
  init(folder: String, basis: StageBasis) throws {
    self.folder = folder
    open = OpenFiles()
    let fingerprint = basis.fingerprint
    for name in try Folders.names(in: folder) where name.hasSuffix(PartName.ending) {
      let path = "\(folder)/\(name)"
      guard let part = try PartFile(path: path) else {
        beginnings.append(path)
        continue
      }
      guard part.header.fingerprint == fingerprint else {
        let changes = basis.changes(since: part.header.basis)
        others.append((path, changes.isEmpty ? ["its fingerprint differs"] : changes))
        continue
      }
      files.append(
        File(
          path: path, index: part.header.index, count: part.header.count,
          device: part.header.device))
      for entry in part.entries { try add(entry) }
    }
    open.allow(files.count)
  }

  private mutating func add(_ entry: PartEntry) throws {
    let place = Place(file: files.count - 1, entry: entry)
    guard let other = positions[entry.key] else {
      positions[entry.key] = place
      return
    }
    // The digest also covers the head, whose position does not matter here.
    guard try other.entry.digest == entry.digest || haveEqualOutputs(other, place) else {
      throw PartError.conflict(
        path: files[other.file].path, other: files[place.file].path, position: entry.position)
    }
  }

  private func haveEqualOutputs(_ first: Place, _ second: Place) throws -> Bool {
    try first.entry.kind == second.entry.kind && first.entry.byteCount == second.entry.byteCount
      && output(at: first) == output(at: second)
  }

  var isEmpty: Bool { files.isEmpty }

  /// The number of items with outputs in the parts.
  var itemCount: Int { positions.count }

  func place(of key: String) -> Place? { positions[PartKey(of: key)] }

  func path(of place: Place) -> String { files[place.file].path }

  func output(at place: Place) throws -> [UInt8] {
    let path = path(of: place)
    return try PartFile.output(of: place.entry, in: try open.file(place.file, path))
  }

  /// The number of parts in the division that most files use.
  var partCount: Int? {
    let files = Dictionary(grouping: files, by: \.count)
    return files.max { ($0.value.count, $0.key) < ($1.value.count, $1.key) }?.key
  }

  /// Removes the merged parts once the result is in place.
  ///
  /// - Parameter filesFolder: the folder of files too large to be copied
  func remove(_ filesFolder: String) throws {
    try Folders.remove(filesFolder)
    for path in files.map(\.path) + beginnings { try Folders.remove(path) }
    try Folders.removeIfEmpty(folder)
    try Folders.removeIfEmpty(Folders.parent(of: folder))
  }
}

/// Files read in turn, of which as many are open as the system allows.
private final class OpenFiles {
  private var files: [Int: RegularFile] = [:]
  private var limit = 256

  func allow(_ count: Int) { limit = max(limit, RegularFile.allowOpen(count) - 128) }

  func file(_ number: Int, _ path: String) throws -> RegularFile {
    if let file = files[number] { return file }
    if files.count >= limit { files.removeAll() }
    let file = try RegularFile(path: path)
    files[number] = file
    return file
  }
}

/// The outputs of a stage's parts, as the stage reads them.
struct PartOutputs<Item, Output> {
  let index: PartIndex
  private let division: any Division<Item, Output>

  /// - Returns: nil if the plan's items cannot be divided
  init?<Work: StageWork<Item, Output>>(_ plan: WorkPlan<Work>, _ index: PartIndex) {
    guard let division = plan.division else { return nil }
    (self.index, self.division) = (index, division)
  }

  private func isDivided(_ item: Item) -> Bool { division.position(of: item) != nil }

  func place(of item: Item) throws -> PartIndex.Place? {
    isDivided(item) ? try index.place(of: division.key(of: item)) : nil
  }

  /// - Throws: the item's `Rejection` if it was rejected; ``PartError`` if the bytes are unusable
  func output(of item: Item, at place: PartIndex.Place) throws -> Output {
    var reader = OutputReader(try index.output(at: place))
    do {
      guard place.entry.kind == .output else {
        let rejection = Rejection(try reader.text(), try reader.text())
        try reader.end()
        throw rejection
      }
      let output = try division.output(of: item, from: &reader)
      try reader.end()
      return output
    } catch let bad as BadOutput {
      throw PartError.badOutput(
        path: index.path(of: place), offset: place.entry.offset, reason: bad.reason)
    }
  }

  /// Rejects outputs that belong to no item.
  ///
  /// - Parameter items: all items of the stage
  func requireUsed(_ items: [Item], of stage: String) throws {
    let known = Set(
      try items.filter { try place(of: $0) != nil }.map { try division.key(of: $0) }
    ).count
    guard known < index.itemCount else { return }
    throw PartError.unused(stage: stage, count: index.itemCount - known, folder: index.folder)
  }

  /// Rejects items that are in no part, and says which parts to rerun.
  func requireAll(_ items: [Item], of stage: String) throws {
    if let other = index.others.first {
      throw PartError.otherSettings(path: other.path, changes: other.changes)
    }
    let divided = items.filter(isDivided)
    let missing = try divided.filter { try place(of: $0) == nil }
    guard !missing.isEmpty else { return }
    let count = index.partCount
    let again = count.map { count in
      Set(missing.compactMap(division.position).map { $0 % count + 1 }).sorted().asArray
    }
    throw PartError.incomplete(
      stage: stage, missing: missing.count, total: divided.count, again: again, count: count ?? 0)
  }
}

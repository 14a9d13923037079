package import Catalog
import Files
package import PipelineCore

/// Reads comparisons, and lists of prompts, into the catalog.
///
/// - Reads:   the files of `source`; nothing of them is copied but text and numbers
/// - Writes:  `catalog.sqlite`
/// - Item:    a row group of a parquet file, or some lines of a text file
/// - Rejects: `missing-value`, `bad-value`, `bad-text`, `bad-label`, `bad-votes`, `bad-ranking`,
///   `bad-count`, `bad-weight`, `long-caption`, `unreadable-record`, `unsafe-path`, `missing-image`,
///   `unreadable-image`, `conflicting-image`; and what filters leave out: `filtered-tie`,
///   `filtered-unlabelled`, `filtered-same-images`, `filtered-many-per-prompt`, `filtered-not-best`,
///   `filtered-limit`, `filtered-not-kept`, `filtered-dropped`
package final class Ingest: DivisibleStage {
  package static let name = "ingest"
  package static let version = 3
  package static let unit = "rows"
  /// What the sources hold is among the inputs.
  package static let settingsWithoutEffect: Set<String> = [
    "max_reject_fraction", "source", "keep", "drop",
  ]
  package static let ownPaths = [CatalogDatabase.fileName]
  package static let databases = [CatalogDatabase.fileName]

  package struct Item {
    let source: SourceFile
    let block: Int
    let rowCount: Int
    /// Among all items, those included that are done.
    let position: Int
  }

  package let reads: Set<Artifact> = []
  package let writes: [Artifact: [String]] = [.catalog: [CatalogDatabase.fileName]]

  package let settings: IngestSettings
  let context: StageContext
  let options: ReadingOptions
  private var selection = RowSelection()
  /// What each source is taken for.
  private var readings = SourceReadings()
  private var catalogConnection: CatalogDatabase?
  private var openFile: (path: String, records: any RecordFile)?
  private var sourceRecords: [ExactText: SourceRecord] = [:]
  private let inspector: ImageInspector
  /// Rows that cannot be used, without those that filters left out; and all rows there are.
  private var badRowCount = 0
  private var totalRowCount = 0
  /// What is asked for when the catalog is complete and closed.
  private var finished: (contentDigest: String, rejectionCounts: [String: Int])?

  package init(settings: IngestSettings, context: StageContext) throws {
    self.settings = settings
    self.context = context
    options = try ReadingOptions(settings)
    inspector = ImageInspector(settings)
  }

  var catalogPath: String { context.database(CatalogDatabase.fileName) }
  /// Of the last finished run, also while another one is made.
  var finishedCatalogPath: String { context.workspace.path(CatalogDatabase.fileName) }

  func catalog() throws -> CatalogDatabase {
    if let catalogConnection { return catalogConnection }
    let catalog = try CatalogDatabase(path: catalogPath)
    catalogConnection = catalog
    return catalog
  }

  package func inputs() throws -> [StageInput] {
    let gone = try goneSources()
    let left = settings(without: gone)
    let files =
      left.source.patterns.isEmpty && !gone.isEmpty
      ? []
      : try SourceFile.all(left) { pattern in
        gone.contains { SourceFiles.names(pattern, $0.path) }
      }
    let names = files.map { Folders.canonical($0.path) }
    let sources =
      try zip(names, files).map { (name: $0, path: $1.path, identity: try identity(of: $1)) }
      + zip(try recordedNames(of: gone, besides: names), gone).map {
        (name: $0, path: $1.path, identity: $1.identity)
      }
    // A catalog of an earlier version may hold the same file by two names.
    var counts: [ExactText: Int] = [:]
    return sources.map { source in
      let count = counts[ExactText(source.name), default: 0] + 1
      counts[ExactText(source.name)] = count
      let name = count > 1 ? "\(source.name) (\(count))" : source.name
      return StageInput(name: name, path: source.path, identity: source.identity)
    } + (try listInputs())
  }

  /// The lists of rows to keep or to leave out.
  func listInputs() throws -> [StageInput] {
    try [("keep", settings.keep), ("drop", settings.drop)].flatMap { name, list in
      try list.patterns.map { path in
        StageInput(
          name: "\(name) \(Folders.canonical(path))", path: path,
          identity: "\(name) \(try context.digests.digest(ofFile: path))")
      }
    }
  }

  /// What a source holds and is taken for.
  func identity(of source: SourceFile) throws -> String {
    let digest =
      PathKind(of: source.path) == .folder
      ? try FolderRecords.identity(of: source.path, context.digests)
      : try context.digests.digest(ofFile: source.path)
    return "\(digest) \(source.split)"
  }

  private func finishedCatalog() throws -> CatalogDatabase {
    try CatalogDatabase(
      path: finishedCatalogPath, access: context.isPart ? .immutable : .readOnly)
  }

  func catalogedSources() throws -> [SourceRecord] {
    guard Folders.exists(finishedCatalogPath) else { return [] }
    return try finishedCatalog().sources()
  }

  package func contentDigest(of artifact: Artifact) throws -> String? {
    if let finished { return finished.contentDigest }
    let catalog = try finishedCatalog()
    try catalog.checkDigests()
    return try catalog.contentDigest()
  }

  package func takeOverEarlierResult() throws {
    let catalog = try CatalogDatabase(path: finishedCatalogPath)
    try catalog.database.checkIntegrity(withIndices: true)
    try catalog.makeIndices()
    // By which files are put in order: of what they hold, no longer of their time.
    for source in try SourceFile.all(settings, mayBeGone: { _ in true }) {
      try catalog.setIdentity(try identity(of: source), ofSource: source.path)
    }
    try catalog.recordDigests()
    try catalog.database.writeLogBack()
  }

  package func pendingItems() throws -> [Item] {
    if !context.isPart { try startAnewIfImagesAreBack() }
    // What is recorded so far is for whoever merges.
    let known =
      context.isPart ? [:] : try recordedSources()
    // What the finished catalog stands for cannot be read into another one.
    if let gone = try goneSources().first { throw SourceError.goneSource(path: gone.path) }
    let sources = try SourceFile.all(settings)
    var items: [Item] = []
    var position = 0
    totalRowCount = 0
    selection = try RowSelection(settings, sources: sources)
    readings = SourceReadings()
    var preferences = SignedPreferences()
    for source in sources {
      let file = try records(of: source.path, source)
      try preferences.add(file)
      readings.add(file)
      let limit = selection.take(from: file)
      let done = try known[ExactText(source.path)].map {
        try catalog().recordedRowGroups(ofSource: $0.id)
      }
      for (block, start) in file.blockStarts.dropLast().enumerated() where start < limit {
        let rowCount = file.blockRowCounts[block]
        totalRowCount += rowCount
        if done?.contains(block) != true {
          items.append(
            Item(source: source, block: block, rowCount: rowCount, position: position))
        }
        position += 1
      }
    }
    try preferences.requireNone()
    return items
  }

  package func finishedUnitCount() throws -> Int {
    try catalog().database.integer("SELECT coalesce(sum(row_count), 0) FROM row_group")
  }

  package func unitCount(of item: Item) -> Int { item.rowCount }

  package func beginCommits() throws {
    sourceRecords = try recordedSources()
    try catalog().removeDigests()
    try catalog().dropIndices()
    badRowCount = try catalog().badRowCount()
    try sampleIfNeeded()
    for line in readings.lines + selection.notes { context.progress.say(line) }
    for line in try leftOutLines() { context.progress.say("warning: \(line)") }
    try checkRejections()
  }

  package func prepare() throws {
    try options.requireImageRoot()
    try sampleIfNeeded()
  }

  private func sampleIfNeeded() throws {
    try selection.sampleIfNeeded(settings) { caption in
      for source in try SourceFile.all(settings) {
        try records(of: source.path, source).forEachCaption(caption)
        try context.checkInterruption()
      }
    }
  }

  package func process(_ item: Item) throws -> RowGroupContents {
    try BlockReader.read(
      try records(of: item.source.path, item.source), block: item.block, split: item.source.split,
      settings: settings, selection: selection, inspector: inspector
    ) { rows in
      context.progress.advance(by: rows)
      try context.checkInterruption()
    }
  }

  package func commit(_ contents: RowGroupContents, of item: Item) throws {
    let bad = contents.rejections.filter { !RejectionCode.isFiltered($0.code) }
    // Several pairs of one row are one bad row; what the catalog rejects beyond counts, too.
    let added = try catalog().record(contents, of: try sourceRecord(item.source))
    badRowCount += added - contents.rejections.count + Set(bad.map(\.row)).count
    try checkRejections()
  }

  package func finish() throws {
    let catalog = try catalog()
    try catalog.makeIndices()
    try PairFilters(settings).apply(to: catalog)
    let counts = try catalog.counts()
    guard counts.pairs + counts.listedPrompts > 0 else {
      throw SourceError.nothingUsable(
        rows: totalRowCount,
        example: try catalog.rejectionExamples().first?.example ?? "there are no rows")
    }
    try catalog.recordDigests()
    let contentDigest = try catalog.contentDigest()
    try keepLaterRejections(in: catalog, contentDigest)
    let sources = try SourceFiles(settings, mayBeGone: { _ in true })
    let lost = try LostSplits(catalog, settings)
    let notes = sources.notes + selection.notes + lost.splits.map(lost.sentence)
    for line in try Funnel(catalog, notes: notes).lines {
      context.progress.say(line)
    }
    let rejectionCounts = try catalog.rejectionCountsByCode(stage: Self.name)
    if !settings.drop.patterns.isEmpty, rejectionCounts[RowRejection.droppedCode] == nil {
      context.progress.say("warning: \(Self.nothingDropped)")
    }
    finished = (contentDigest, rejectionCounts)
    try context.movesDatabases
      ? catalog.database.leaveLog() : catalog.database.writeLogBack()
    catalogConnection = nil
  }

  /// The message where the lists of `drop` match nothing.
  static let nothingDropped =
    "ingest.drop drops nothing: no source has any of the rows or images that it lists"

  package func closeDatabases() { catalogConnection = nil }

  /// Where the catalog came out the same, later stages do not run again: what they rejected stays so.
  private func keepLaterRejections(in catalog: CatalogDatabase, _ contentDigest: String) throws {
    guard Folders.exists(finishedCatalogPath) else { return }
    do {
      let earlier = try CatalogDatabase(path: finishedCatalogPath, access: .readOnly)
      guard try earlier.contentDigest() == contentDigest else { return }
      try catalog.takeOverRejections(from: earlier, exceptOf: Self.name)
    } catch let error as CatalogError {
      context.progress.say("rejections by later stages are not kept: \(error)")
    }
  }

  package func rejectionCounts() throws -> [String: Int] {
    try finished?.rejectionCounts ?? catalog().rejectionCountsByCode(stage: Self.name)
  }

  package func findings() throws -> [String] {
    let catalog = try CatalogDatabase(path: finishedCatalogPath, access: .readOnly)
    try catalog.checkDigests()
    return try catalog.countsBySource().filter { !$0.isBalanced }.map {
      "\($0.path): \($0.rows) rows were read, but the catalog has \($0.pairs) pairs, "
        + "\($0.listedPrompts) prompts and \($0.rejections) rejects from them"
    }
  }

  private func checkRejections() throws {
    do {
      try PipelineCore.checkRejections(
        stage: Self.name, rejected: badRowCount, of: totalRowCount,
        limit: settings.maxRejectFraction,
        example: try Funnel.commonestRejection(in: try catalog()))
    } catch let error as PipelineError {
      // The error gives the commonest reason; these lines, all of them.
      for line in try Funnel.rejectLines(try catalog()) { context.progress.say(line) }
      throw error
    }
  }

  /// The open file; one is kept, since items come file by file.
  private func records(of path: String, _ source: SourceFile) throws -> any RecordFile {
    if let openFile, ExactText(openFile.path) == ExactText(path) { return openFile.records }
    let records = try source.open(options)
    try records.requireColumns(also: settings.filteredFields)
    openFile = (path, records)
    return records
  }

  private func recordedSources() throws -> [ExactText: SourceRecord] {
    Dictionary(
      uniqueKeysWithValues: try catalog().sources().map { (ExactText($0.path), $0) })
  }

  private func sourceRecord(_ source: SourceFile) throws -> SourceRecord {
    if let record = sourceRecords[ExactText(source.path)] { return record }
    let file = try records(of: source.path, source)
    let columns = file.hasImages ? file.imageColumns : nil
    _ = try catalog().addSource(
      path: source.path, identity: try identity(of: source),
      rowCount: file.blockRowCounts.reduce(0, +), rowGroupCount: file.blockRowCounts.count,
      image0Column: columns?.0, image1Column: columns?.1, imageRoot: settings.imageRoot)
    sourceRecords = try recordedSources()
    guard let record = sourceRecords[ExactText(source.path)] else {
      throw SourceError.changed(path: source.path)
    }
    return record
  }
}

extension Artifact {
  package static let catalog: Artifact = "catalog"
  static let encodings: Artifact = "encodings"
  static let labels: Artifact = "labels"
  static let shards: Artifact = "shards"
}

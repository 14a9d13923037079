package import Catalog
import Files
package import PipelineCore

/// Reads row groups into the catalog under construction.
package final class IngestWork: StageWork {
  private let ingest: Ingest
  private let catalog: Deferred<CatalogDatabase>
  private let records: OpenRecords
  private var selection: RowSelection
  private let inspector: ImageInspector
  private var sourceRecords: [ExactText: SourceRecord] = [:]
  /// The total number of rows; and of unusable ones, apart from those that filters left out.
  private let totalRowCount: Int
  private var badRowCount = 0

  private var settings: IngestSettings { ingest.settings }
  private var context: StageContext { ingest.context }

  /// - Parameter notes: how the sources are interpreted
  init(
    _ ingest: Ingest, _ catalog: Deferred<CatalogDatabase>, _ records: OpenRecords,
    _ selection: RowSelection, notes: [String], totalRowCount: Int
  ) throws {
    self.ingest = ingest
    self.catalog = catalog
    self.records = records
    self.selection = selection
    self.totalRowCount = totalRowCount
    inspector = ImageInspector(ingest.settings)
    if !context.isPart {
      sourceRecords = try catalog().sourcesByPath()
      try catalog().removeDigests()
      try catalog().dropIndices()
      badRowCount = try catalog().badRowCount()
    }
    try sampleIfNeeded()
    guard !context.isPart else { return }
    for line in notes + self.selection.notes { context.progress.say(line) }
    for line in try ingest.leftOutLines() { context.progress.say("warning: \(line)") }
    try checkRejections()
  }

  private func sampleIfNeeded() throws {
    try selection.sampleIfNeeded(settings) { caption in
      for source in try SourceFile.all(settings) {
        try records(of: source).forEachCaption(caption)
        try context.checkInterruption()
      }
    }
  }

  package func process(_ item: Ingest.Item) throws -> RowGroupContents {
    try ingest.options.requireImageRoot()
    return try BlockReader.read(
      try records(of: item.source), block: item.block, split: item.source.split,
      settings: settings, selection: selection, inspector: inspector
    ) { rows in
      context.progress.advance(by: rows)
      try context.checkInterruption()
    }
  }

  package func commit(_ contents: RowGroupContents, of item: Ingest.Item) throws {
    let bad = contents.rejections.filter { !RejectionCode.isFiltered($0.code) }
    // Several bad pairs of one row are one bad row; the catalog's own rejections count, too.
    let added = try catalog().record(contents, of: try sourceRecord(item.source))
    badRowCount += added - contents.rejections.count + Set(bad.map(\.row)).count
    try checkRejections()
  }

  package func together(_ body: () throws -> Void) throws {
    try catalog().database.transaction(body)
  }

  package func finish() throws -> WorkSummary {
    let catalog = try catalog()
    defer { self.catalog.release() }
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
    let rejections = try catalog.rejectionCountsByCode(stage: Ingest.name)
    if !settings.drop.patterns.isEmpty, rejections[RowRejection.droppedCode] == nil {
      context.progress.say("warning: \(Ingest.nothingDropped)")
    }
    try context.movesDatabases
      ? catalog.database.leaveLog() : catalog.database.writeLogBack()
    return WorkSummary(rejections: rejections, contentDigests: [.catalog: contentDigest])
  }

  /// If the catalog came out the same, later stages do not run again, so their rejections are kept.
  private func keepLaterRejections(in catalog: CatalogDatabase, _ contentDigest: String) throws {
    guard Folders.exists(ingest.finishedCatalogPath) else { return }
    do {
      let earlier = try CatalogDatabase(path: ingest.finishedCatalogPath, access: .readOnly)
      guard try earlier.contentDigest() == contentDigest else { return }
      try catalog.takeOverRejections(from: earlier, exceptOf: Ingest.name)
    } catch let error as CatalogError {
      context.progress.say("rejections by later stages are not kept: \(error)")
    }
  }

  private func checkRejections() throws {
    do {
      try PipelineCore.checkRejections(
        stage: Ingest.name, rejected: badRowCount, of: totalRowCount,
        limit: settings.maxRejectFraction,
        example: try Funnel.commonestRejection(in: try catalog()))
    } catch let error as PipelineError {
      // The error gives the most common reason; these lines give all of them.
      for line in try Funnel.rejectLines(try catalog()) { context.progress.say(line) }
      throw error
    }
  }

  private func sourceRecord(_ source: SourceFile) throws -> SourceRecord {
    if let record = sourceRecords[ExactText(source.path)] { return record }
    let file = try records(of: source)
    let columns = file.hasImages ? file.imageColumns : nil
    _ = try catalog().addSource(
      path: source.path, identity: try ingest.identity(of: source),
      rowCount: file.blockRowCounts.reduce(0, +), rowGroupCount: file.blockRowCounts.count,
      image0Column: columns?.0, image1Column: columns?.1, imageRoot: settings.imageRoot)
    sourceRecords = try catalog().sourcesByPath()
    guard let record = sourceRecords[ExactText(source.path)] else {
      throw SourceError.changed(path: source.path)
    }
    return record
  }
}

/// The open sources: only one is kept open, since items come file by file.
final class OpenRecords {
  private let settings: IngestSettings
  private let options: ReadingOptions
  private var open: (path: ExactText, records: any RecordFile)?

  init(_ settings: IngestSettings, _ options: ReadingOptions) {
    (self.settings, self.options) = (settings, options)
  }

  func callAsFunction(of source: SourceFile) throws -> any RecordFile {
    let path = ExactText(source.path)
    if let open, open.path == path { return open.records }
    let records = try source.open(options)
    try records.requireColumns(also: settings.filteredFields)
    open = (path, records)
    return records
  }
}

extension CatalogDatabase {
  func sourcesByPath() throws -> [ExactText: SourceRecord] {
    Dictionary(uniqueKeysWithValues: try sources().map { (ExactText($0.path), $0) })
  }
}

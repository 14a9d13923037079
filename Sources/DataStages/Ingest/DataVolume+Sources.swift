import Catalog
import Foundation
import HostResources
import Imaging
import PipelineCore
import StageSupport

extension DataVolume {
  /// Counts the contents of a complete catalog.
  package init(catalog path: String) throws {
    self.init()
    let catalog = try CatalogDatabase(path: path, access: .readOnly)
    let counts = try catalog.counts()
    (rows, images) = (counts.pairs, counts.images)
    (prompts, listedPrompts) = (counts.prompts, counts.listedPrompts)
    for (split, count) in try catalog.pairCounts() { rowsBySplit[split] = count }
  }

  /// Reads the beginning of the sources, and counts in the catalog if it exists.
  package init(_ settings: IngestSettings, catalog path: String) throws {
    self.init()
    let options = try ReadingOptions(settings)
    var sample = SourceSample()
    var preferences = SignedPreferences()
    var rowsLeft = settings.limitBy == .rows ? settings.limit : nil
    for source in try SourceFile.all(settings) {
      let file = try source.open(options)
      try file.requireColumns(also: settings.filteredFields)
      try preferences.add(file)
      let all = file.blockRowCounts.reduce(0, +)
      let count = min(all, rowsLeft ?? all)
      rowsLeft = rowsLeft.map { $0 - count }
      sourceByteCount += Folders.byteCount(of: source.path) / max(1, all) * count
      if file.isPromptList {
        listedPrompts += count
        prompts += count
        continue
      }
      if count > 0, sample.needsMore { try sample.read(file, settings, rowLimit: count) }
      // A ranking counts as one row per pair.
      let pairCount = Int((Double(count) * sample.pairsPerRow).rounded())
      rows += pairCount
      rowsBySplit[source.split, default: 0] += pairCount
    }
    try sample.requireUsable()
    if let first = sample.firstAlike(of: rows) {
      (alikePairs, alikeExample) = (sample.pairs, first)
    }
    try preferences.requireNone()
    secondsPerRow = sample.secondsPerRow
    secondsPerImage = sample.secondsPerImage
    if Folders.exists(path) {
      let counts = try CatalogDatabase(path: path, access: .readOnly).counts()
      // The catalog may have more rows than the settings now select.
      let named = min(1, Double(rows) / Double(max(1, counts.pairs)))
      images = Int((Double(counts.images) * named).rounded())
      prompts = max(listedPrompts, Int((Double(counts.prompts) * named).rounded()))
      // Filters may have left some out.
      let share = min(1, Double(counts.pairs) / Double(max(1, rows)))
      rowsBySplit = rowsBySplit.mapValues { Int((Double($0) * share).rounded()) }
    } else {
      images = Int((Double(rows) * sample.imagesPerRow / sample.pairsPerRow).rounded())
      let compared = Int((Double(rows) * sample.promptsPerRow / sample.pairsPerRow).rounded())
      if listedPrompts == 0, sample.pairs == rows { countedPrompts = compared }
      prompts += compared
    }
    if settings.limitBy == .prompts, let limit = settings.limit { limitPrompts(to: limit) }
  }

  /// Reduces the prompts to this number, with their share of the rows.
  private mutating func limitPrompts(to limit: Int) {
    guard prompts > limit else { return }
    let share = Double(limit) / Double(prompts)
    func part(_ count: Int) -> Int { Int((Double(count) * share).rounded()) }
    (rows, images, listedPrompts) = (part(rows), part(images), part(listedPrompts))
    rowsBySplit = rowsBySplit.mapValues(part)
    prompts = limit
    countedPrompts = countedPrompts.map { min($0, limit) }
  }
}

/// A timed reading of a source's first rows.
private struct SourceSample {
  /// Rejects a row whose image files do not exist.
  private func requireImages(_ record: Record) throws(RowRejection) {
    for image in record.images {
      guard case .file(let path)? = image.image, !Folders.exists(path) else { continue }
      throw RowRejection(image.field, "missing-image", "there is no file \(path)")
    }
  }

  private(set) var rows = 0
  private(set) var pairs = 0
  private var images: Set<String> = []
  private var prompts: Set<String> = []
  private var readingSeconds = 0.0
  private var decodingSeconds = 0.0
  private var decoded = 0
  /// The number of unusable rows, and the reason for the first.
  private var rejections = 0
  /// The number of pairs of an image with itself, and the first of them.
  private var samePairs = 0
  private var firstSame: String?
  private var firstRejection: String?

  var secondsPerRow: Double { readingSeconds / Double(max(1, rows)) }
  var pairsPerRow: Double { rows == 0 ? 1 : Double(pairs) / Double(rows) }
  var secondsPerImage: Double {
    decodingSeconds / Double(max(1, decoded)) / Double(Threads.count)
  }
  var imagesPerRow: Double { Double(images.count) / Double(max(1, rows)) }
  var promptsPerRow: Double { Double(prompts.count) / Double(max(1, rows)) }

  private static let secondsAtMost = 1.0
  private static let decodedAtMost = 64

  private struct Enough: Error {}

  /// Rejects sources of which no inspected row is usable.
  func requireUsable() throws(SourceError) {
    guard rows == 0, let firstRejection else { return }
    throw .nothingUsable(rows: rejections, example: firstRejection)
  }

  /// Whether nothing was read yet, or only images paired with themselves, in too few pairs to tell.
  var needsMore: Bool { samePairs == pairs && pairs < Self.tellingPairCount }

  /// Returns the first inspected pair, if all pair an image with itself.
  ///
  /// - Parameter pairCount: the approximate number in all sources; a few such pairs say nothing
  ///   about many others
  func firstAlike(of pairCount: Int) -> String? {
    samePairs == pairs && pairs >= min(pairCount, Self.tellingPairCount) ? firstSame : nil
  }

  private static let tellingPairCount = 20

  /// - Parameter rowLimit: the maximum number of rows of the file
  mutating func read(
    _ file: any RecordFile, _ settings: IngestSettings, rowLimit: Int
  ) throws {
    let clock = ContinuousClock()
    let start = clock.now
    let decodingBefore = decodingSeconds
    do {
      guard !file.blockRowCounts.isEmpty else { return }
      try file.forEachRow(inBlock: 0) { row, values in
        guard row < rowLimit else { throw Enough() }
        let record: Record
        do {
          record = try Record(try values.get(), file, select: { _, _ in }, filter: { _ in })
          try requireImages(record)
        } catch let rejection as RowRejection {
          // Ingest reports the wrong rows, unless all are wrong.
          rejections += 1
          if firstRejection == nil {
            let column = rejection.field.map { ", column \(file.plan.name(of: $0))" } ?? ""
            firstRejection = "\(file.path): row \(row)\(column): \(rejection.reason)"
          }
          if (clock.now - start) / .seconds(1) > Self.secondsAtMost { throw Enough() }
          return
        }
        prompts.insert(record.caption)
        pairs += record.comparisons.count
        for pair in record.comparisons
        where record.images[pair.first].isSame(as: record.images[pair.second]) {
          samePairs += 1
          if firstSame == nil { firstSame = "\(file.path): row \(row)" }
        }
        for (index, image) in record.images.enumerated() {
          // Without identities every image counts as distinct.
          guard images.insert(image.uid ?? "\(row) \(index)").inserted else { continue }
          guard decoded < Self.decodedAtMost, case .bytes(let bytes)? = image.image else {
            continue
          }
          decodingSeconds += clock.measure { _ = try? RGBImage(decoding: bytes) } / .seconds(1)
          decoded += 1
        }
        rows += file.plan.form == .rankedImages ? record.images.count : 1
        if (clock.now - start) / .seconds(1) > Self.secondsAtMost { throw Enough() }
      }
    } catch is Enough {}
    readingSeconds += max(
      0, (clock.now - start) / .seconds(1) - (decodingSeconds - decodingBefore))
  }
}

extension DataVolume {
  /// Rejects comparisons of images with themselves, from which nothing could be learned.
  package func requireDifferentImages() throws {
    guard alikePairs > 0 else { return }
    throw SourceError.sameImages(pairs: alikePairs, example: alikeExample)
  }
}

extension RecordImage {
  /// Whether both are known to be the same image: by identity, path or bytes.
  fileprivate func isSame(as other: RecordImage) -> Bool {
    if let uid, uid == other.uid { return true }
    switch (image, other.image) {
    case (.file(let path)?, .file(let otherPath)?): return path == otherPath
    case (.bytes(let bytes)?, .bytes(let otherBytes)?): return bytes == otherBytes
    default: return false
    }
  }
}

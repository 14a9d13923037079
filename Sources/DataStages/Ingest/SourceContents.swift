package import PipelineCore

/// A summary of the contents of record files, from their columns alone.
package struct SourceContents {
  private let first: String
  private var count = 0
  private var unread: [String] = []
  private var hasComparisons = false
  private var hasImages = false

  /// Nil if a file cannot be read; stage ingest reports why.
  package init?(_ sources: SourceFiles, _ settings: IngestSettings) {
    guard let options = try? ReadingOptions(settings), let first = sources.files.first else {
      return nil
    }
    self.first = first.path
    count = sources.files.count
    // One file with images suffices: others may refer to them by identity.
    for source in sources.files {
      guard let file = try? source.open(options),
        file.problems(also: settings.filteredFields).isEmpty
      else { return nil }
      if !file.isPromptList { hasComparisons = true }
      if file.isPromptList, unread.isEmpty { unread = file.unreadColumns }
      if file.hasImages { hasImages = true }
      if hasImages { break }
    }
  }

  /// Rejects sources without comparisons, on which training would be impossible.
  ///
  /// - Throws: `PipelineError.badSetting`
  package func requireComparisons() throws(PipelineError) {
    let files = first + (count > 1 ? " and \(count - 1) more" : "")
    guard hasComparisons else {
      throw .badSetting(
        path: "ingest.source",
        reason: "training needs comparisons of images, but \(files) contains only prompts; "
          + (unread.isEmpty
            ? ""
            : "if its columns \(unread.prefix(12).joined(separator: ", ")) hold comparisons, name them "
              + "in ingest.columns, else ")
          + "add files with comparisons (docs/data.md lists the formats)")
    }
    guard hasImages else {
      throw .badSetting(
        path: "ingest.source",
        reason:
          "training needs images, but \(files) contains only their identities; add the image columns, or "
          + "files with both images and identities; if the columns have other names, set "
          + "ingest.columns.image_0 and ingest.columns.image_1")
    }
  }
}

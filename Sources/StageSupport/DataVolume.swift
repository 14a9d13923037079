/// How much data a pipeline has: counted where its catalog is, otherwise judged by a sample.
public struct DataVolume: Equatable, Sendable {
  package var rows = 0
  /// Rows by split.
  package var rowsBySplit: [String: Int] = [:]
  /// Different ones.
  package var images = 0
  package var prompts = 0
  /// The same where every row was looked at; nil: judged by some of them.
  package var countedPrompts: Int?
  /// Of lists of prompts.
  package var listedPrompts = 0
  /// The comparisons that were looked at, where all are of an image with itself; otherwise 0.
  package var alikePairs = 0
  /// The first of them.
  package var alikeExample = ""
  /// Bytes of all source files.
  package var sourceByteCount = 0
  /// Time to read a row, without its images.
  package var secondsPerRow = 0.0
  /// Time to decode an image, on all threads.
  package var secondsPerImage = 0.0

  package init() {}

  package func rows(ofSplit split: String) -> Int { rowsBySplit[split] ?? 0 }

  /// As many of a batch as there can be at once.
  ///
  /// - Parameter count: how many there are of all; 0: not known
  package static func largestBatch(_ batch: Int, of count: Int) -> Int {
    count > 0 ? min(batch, count) : batch
  }

  /// Those of the split that is held out.
  package var heldOutRows: Int {
    ["validation_unique", "validation"].lazy.map(rows(ofSplit:)).first { $0 > 0 } ?? 0
  }

  /// Those of the split that chooses nothing.
  package var testRows: Int {
    ["test_unique", "test"].lazy.map(rows(ofSplit:)).first { $0 > 0 } ?? 0
  }

  /// Those that a finished preference model is evaluated on.
  package var evaluatedRows: Int { testRows > 0 ? testRows : heldOutRows }
}

/// Reference information about the inputs of `ingest`, for help.
public enum DataReference {
  /// The extensions of readable files.
  public static var endings: String { SourceFormat.endings }

  /// The values of `ingest.format`, with their meanings.
  public static var formats: [(name: String, meaning: String)] {
    DataForm.allCases.map { ($0.rawValue, $0.meaning) }
  }

  /// The keys of `ingest.columns`, with the contents of each column.
  public static var columns: [(name: String, meaning: String)] {
    RecordField.allCases.map { ($0.plainName ?? $0.rawValue, $0.meaning) }
  }
}

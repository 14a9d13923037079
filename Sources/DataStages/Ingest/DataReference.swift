/// What `ingest` reads, for help.
public enum DataReference {
  /// How names of files end that are read.
  public static var endings: String { SourceFormat.endings }

  /// The values of `ingest.format`, each with what it means.
  public static var formats: [(name: String, meaning: String)] {
    DataForm.allCases.map { ($0.rawValue, $0.meaning) }
  }

  /// The keys of `ingest.columns`, each with what its column contains.
  public static var columns: [(name: String, meaning: String)] {
    RecordField.allCases.map { ($0.plainName ?? $0.rawValue, $0.meaning) }
  }
}

/// Stable codes for why a row gave no pair.
public enum RejectionCode {
  /// The prefix of codes for valid rows that a setting left out.
  public static let filterPrefix = "filtered-"

  public static func isFiltered(_ code: String) -> Bool { code.hasPrefix(filterPrefix) }
}

/// Why a row gave no pair, as a stable word.
public enum RejectionCode {
  /// What the codes of rows begin with that are in order and that a setting left out.
  public static let filterPrefix = "filtered-"

  public static func isFiltered(_ code: String) -> Bool { code.hasPrefix(filterPrefix) }
}

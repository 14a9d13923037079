/// The columns of a source, in order of first appearance.
struct ColumnCounts {
  let names: [String]
  /// The number of inspected records that have each column; nil: all of them.
  let counts: [String: Int]?

  init(names: [String], counts: [String: Int]) { (self.names, self.counts) = (names, counts) }

  init(_ names: [String]) { (self.names, counts) = (names, nil) }
}

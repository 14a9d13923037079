/// The columns of a source, in the order in which they first come.
struct ColumnCounts {
  let names: [String]
  /// How many of the records that were looked at have each; nil: all of them.
  let counts: [String: Int]?

  init(names: [String], counts: [String: Int]) { (self.names, self.counts) = (names, counts) }

  init(_ names: [String]) { (self.names, counts) = (names, nil) }
}

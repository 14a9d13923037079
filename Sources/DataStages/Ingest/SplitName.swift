import Files

/// The split that a path indicates, inferred as by the Hub's `datasets`, but ignoring case.
///
/// A split's name counts as a separate word, between any of `-`, `.`, `_`, brackets, digits and a
/// space, in the file's name or else in the name of the nearest folder.
/// `data/NAME-00000-of-00001.parquet` and a folder `split=NAME` indicate any split.
package enum SplitName {
  private static let keywords = [
    "train": ["train", "training"],
    "validation": ["validation", "valid", "val", "dev"],
    "test": ["test", "testing", "eval", "evaluation"],
  ]

  private static let splitsByKeyword = Dictionary(
    uniqueKeysWithValues: keywords.flatMap { split, words in words.map { ($0, split) } })

  /// Returns the split that a path indicates; nil if none.
  ///
  /// - Parameter base: the folder below which words in folder names count. Of the folders above,
  ///   whose names say where the data lies and not what it is, only the file's own counts, and only
  ///   if its whole name is a split's.
  package static func named(in path: String, below base: String) -> String? {
    found(in: path, below: base)?.split
  }

  /// Returns also the folder of whose name a part indicates the split; nil: the whole name, or the file's.
  static func found(in path: String, below base: String) -> (split: String, partOf: String?)? {
    let components = path.split(separator: "/").map(String.init)
    guard let file = components.last else { return nil }
    let folders = components.dropLast()
    if let split = ofSharded(file, folder: folders.last) ?? word(in: file) { return (split, nil) }
    let above = base.split(separator: "/").count
    for (depth, folder) in folders.enumerated().reversed() {
      if let split = hive(folder) ?? canonical(folder), depth >= above || depth == folders.count - 1
      {
        return (split, nil)
      }
      guard depth >= above else { return nil }
      if let split = word(in: folder) { return (split, folder) }
    }
    return nil
  }

  /// `data/validation_unique-00000-of-00001-0f1e2d.parquet`: the name before the numbers.
  private static func ofSharded(_ file: String, folder: String?) -> String? {
    let parts = file.split(separator: "-", omittingEmptySubsequences: false).map(String.init)
    func isNumber(_ part: Substring) -> Bool {
      part.utf8.count == 5 && part.utf8.allSatisfy { (48...57).contains($0) }
    }
    guard parts.count >= 4 else { return nil }
    for index in 1...parts.count - 3
    where isNumber(parts[index][...]) && parts[index + 1] == "of"
      && isNumber(parts[index + 2].prefix(5))
    {
      let name = parts[index - 1]
      if let split = canonical(name) { return split }
      return index == 1 && folder == "data" ? SafeName(name)?.text : nil
    }
    return nil
  }

  private static func hive(_ folder: String) -> String? {
    guard folder.hasPrefix("split=") else { return nil }
    let name = String(folder.dropFirst("split=".count))
    return canonical(name) ?? SafeName(name)?.text
  }

  /// Whether this is a split's name or a synonym.
  static func isSplit(_ name: String) -> Bool { canonical(name) != nil }

  /// Returns the split whose name or synonym this is as a whole.
  private static func canonical(_ name: String) -> String? {
    let name = name.lowercased()
    return splitsByKeyword[name]
      ?? (["validation_unique", "test_unique"].contains(name) ? name : nil)
  }

  /// Returns the split whose name is a word in a longer name.
  ///
  /// If `train` and another split occur, the other one wins: rows held out by mistake do no harm.
  private static func word(in name: String) -> String? {
    let words = name.lowercased().split { "-._ ()[]0123456789".contains($0) }.map(String.init)
    let splits = words.enumerated().compactMap { index, word -> String? in
      guard let split = splitsByKeyword[word] else { return nil }
      let isUnique = split != "train" && index + 1 < words.count && words[index + 1] == "unique"
      return isUnique ? split + "_unique" : split
    }
    return splits.first { $0 != "train" } ?? splits.first
  }
}

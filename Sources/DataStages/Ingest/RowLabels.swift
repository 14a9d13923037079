/// The label of a row: which of its two images is better.
struct RowLabels {
  /// (1, 0), (0, 1) or (0.5, 0.5); (0, 0) if a row without a label has other values.
  private(set) var label0: Double
  private(set) var label1: Double
  private(set) var hasLabel = true
  private(set) var areDifferent = true
  /// A factor for the row's weight.
  private(set) var weight = 1.0

  var isTie: Bool { label0 == 0.5 && label1 == 0.5 }

  init(_ values: some RowValues, _ plan: ColumnPlan) throws {
    (label0, label1) = (0, 0)
    hasLabel = try values.truth(.hasLabel) ?? true
    areDifferent = try values.truth(.areDifferent) ?? true
    switch plan.form {
    case .chosenRejected, .hpdv3: (label0, label1) = (1, 0)
    case .votes: try read(votes: values)
    case .pairs: try read(preferred: values, plan)
    default: try read(labels: values)
    }
  }

  /// Creates the labels of one comparison in a ranking.
  init(_ comparison: Comparison) {
    (label0, label1) = (comparison.label0, comparison.label1)
  }

  private mutating func read(labels values: some RowValues) throws {
    let first = try values.number(.label0)
    let second = try values.number(.label1)
    if let first, let second, first + second == 1, [0, 0.5, 1].contains(first) {
      // Even without a label: the published trainer uses the values of such rows.
      (label0, label1) = (first, second)
      return
    }
    guard hasLabel else { return }
    guard let first else { throw RowRejection.missing(.label0) }
    guard let second else { throw RowRejection.missing(.label1) }
    throw RowRejection(
      .label0, "bad-label", "(\(first), \(second)) is not (1, 0), (0, 1) or (0.5, 0.5)")
  }

  /// More votes win; the weight is the margin as a fraction of all votes.
  ///
  /// An even vote is a tie.
  private mutating func read(votes values: some RowValues) throws {
    guard let first = try values.number(.votes0) else { throw RowRejection.missing(.votes0) }
    guard let second = try values.number(.votes1) else { throw RowRejection.missing(.votes1) }
    guard first >= 0, second >= 0, (first + second).isFinite, first + second > 0 else {
      throw RowRejection(.votes0, "bad-votes", "(\(first), \(second)) are not valid vote counts")
    }
    guard first != second else {
      (label0, label1) = (0.5, 0.5)
      return
    }
    (label0, label1) = first > second ? (1, 0) : (0, 1)
    weight = abs(first - second) / (first + second)
  }

  private mutating func read(preferred values: some RowValues, _ plan: ColumnPlan) throws {
    guard let text = try values.choice(.preferred), !text.isEmpty else {
      guard !hasLabel else { throw RowRejection.missing(.preferred) }
      return
    }
    let names = (plan.name(of: .image0), plan.name(of: .image1))
    let ends = Self.ends(of: names)
    let word = Self.word(text)
    let first = [names.0.lowercased(), ends.0]
    let second = [names.1.lowercased(), ends.1]
    // With user-defined column names, a 1 may be the suffix of the first or the index of the
    // second.
    if ["0", "1"].contains(word), Self.isAmbiguous(word, names) {
      throw RowRejection(
        .preferred, "bad-label",
        "\"\(text.prefix(60))\" is ambiguous: a number from 0, or the end of \(names.0) or \(names.1); write "
          + Self.words(names, ends))
    }
    if first.contains(word) || !second.contains(word) && ["0", "first", "left", "a"].contains(word)
    {
      (label0, label1) = (1, 0)
    } else if second.contains(word) || ["1", "second", "right", "b"].contains(word) {
      (label0, label1) = (0, 1)
    } else if ["tie", "both", "none", "equal", "0.5", "-1"].contains(word) {
      (label0, label1) = (0.5, 0.5)
    } else {
      throw RowRejection(
        .preferred, "bad-label",
        "\"\(text.prefix(60))\" is not one of " + Self.words(names, ends)
          + (word == "2"
            ? "; for labels 1 and 2, name the image columns image_1 and image_2" : ""))
    }
  }

  /// Normalizes a value for comparison: 1.0, +1 and true become 1.
  static func word(_ text: String) -> String {
    Double(text).flatMap(Int.init(exactly:)).map { "\($0)" }
      ?? SpelledValue.truth(text).map { $0 ? "1" : "0" } ?? text.lowercased()
  }

  /// Returns all valid values.
  private static func words(_ names: (String, String), _ ends: (String, String)) -> String {
    var numbers: [String] = []
    for word in [ends.0, ends.1] where !["a", "b"].contains(word) && !isAmbiguous(word, names) {
      numbers.append(word)
    }
    let words =
      [names.0, names.1] + numbers + ["first", "left", "a", "second", "right", "b"]
      + ["tie", "both", "none", "equal", "0.5"]
    return words.dropLast().joined(separator: ", ") + " or " + (words.last ?? "")
  }

  /// Whether a 0 or a 1 may be an index from 0 or the suffix of the other image's column; for
  /// published column names, the suffix counts.
  private static func isAmbiguous(_ word: String, _ names: (String, String)) -> Bool {
    guard ["0", "1"].contains(word) else { return false }
    let ends = (names.0.last.map(String.init) ?? "", names.1.last.map(String.init) ?? "")
    let digits = [ends.0, ends.1].filter { $0.allSatisfy(\.isNumber) && !$0.isEmpty }
    guard !Set(["0", "1"]).isDisjoint(with: digits), ends != ("0", "1") else { return false }
    let isPublished = DataLayout.all.contains { layout in
      layout.columns[.image0] == names.0.lowercased()
        && layout.columns[.image1] == names.1.lowercased()
    }
    return isPublished ? !digits.contains(word) : true
  }

  /// Returns the distinguishing suffixes of the two columns, such as 1 and 2 of `image1` and
  /// `image2`; else 0 and 1.
  private static func ends(of names: (String, String)) -> (String, String) {
    guard names.0.dropLast() == names.1.dropLast(), names.0 != names.1,
      let first = names.0.last, let second = names.1.last
    else { return ("0", "1") }
    return (first.lowercased(), second.lowercased())
  }
}

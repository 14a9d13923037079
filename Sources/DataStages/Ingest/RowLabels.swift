/// What a row says of which of its two images is better.
struct RowLabels {
  /// (1, 0), (0, 1) or (0.5, 0.5); (0, 0) where a row without a label holds something else.
  private(set) var label0: Double
  private(set) var label1: Double
  private(set) var hasLabel = true
  private(set) var areDifferent = true
  /// By which the row's weight is multiplied.
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

  /// Of one comparison in a ranking.
  init(_ comparison: Comparison) {
    (label0, label1) = (comparison.label0, comparison.label1)
  }

  private mutating func read(labels values: some RowValues) throws {
    let first = try values.number(.label0)
    let second = try values.number(.label1)
    if let first, let second, first + second == 1, [0, 0.5, 1].contains(first) {
      // Also without a label: the published trainer uses what such rows hold.
      (label0, label1) = (first, second)
      return
    }
    guard hasLabel else { return }
    guard let first else { throw RowFault.missing(.label0) }
    guard let second else { throw RowFault.missing(.label1) }
    throw RowFault(
      .label0, "bad-label", "(\(first), \(second)) is not (1, 0), (0, 1) or (0.5, 0.5)")
  }

  /// More votes win; the weight is the margin as a fraction of all votes.
  ///
  /// An even vote is a tie.
  private mutating func read(votes values: some RowValues) throws {
    guard let first = try values.number(.votes0) else { throw RowFault.missing(.votes0) }
    guard let second = try values.number(.votes1) else { throw RowFault.missing(.votes1) }
    guard first >= 0, second >= 0, (first + second).isFinite, first + second > 0 else {
      throw RowFault(.votes0, "bad-votes", "(\(first), \(second)) are no votes for two images")
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
      guard !hasLabel else { throw RowFault.missing(.preferred) }
      return
    }
    let names = (plan.name(of: .image0), plan.name(of: .image1))
    let ends = Self.ends(of: names)
    // 1.0 is 1.
    let word = Double(text).flatMap(Int.init(exactly:)).map { "\($0)" } ?? text.lowercased()
    if [names.0.lowercased(), ends.0, "first", "left"].contains(word) {
      (label0, label1) = (1, 0)
    } else if [names.1.lowercased(), ends.1, "second", "right"].contains(word) {
      (label0, label1) = (0, 1)
    } else if ["tie", "both", "none", "equal", "0.5", "-1"].contains(word) {
      (label0, label1) = (0.5, 0.5)
    } else {
      throw RowFault(
        .preferred, "bad-label",
        "\"\(text.prefix(60))\" is none of \(names.0) (or \(ends.0)), \(names.1) (or \(ends.1)) "
          + "and tie")
    }
  }

  /// What tells the two columns apart, such as 1 and 2 of `image1` and `image2`; else 0 and 1.
  private static func ends(of names: (String, String)) -> (String, String) {
    guard names.0.dropLast() == names.1.dropLast(), names.0 != names.1,
      let first = names.0.last, let second = names.1.last
    else { return ("0", "1") }
    return (first.lowercased(), second.lowercased())
  }
}

package import Files

/// The mean of a score before and after, over the same prompts and noises.
package struct PairedComparison {
  package let before: Double
  package let after: Double
  /// Of the mean difference, over prompts: images of one prompt are not independent.
  package let standardError: Double
  /// After less before, of each prompt.
  package let differences: [Double]

  package var change: Double { after - before }

  /// - Parameters:
  ///   - before, after: a score of each image, those of a prompt one after another
  ///   - groupSize: images of a prompt
  package init(before: [Double], after: [Double], groupSize: Int) {
    func means(_ values: [Double]) -> [Double] {
      stride(from: 0, to: values.count, by: groupSize).map { start in
        values[start..<start + groupSize].reduce(0, +) / Double(groupSize)
      }
    }
    func mean(_ values: [Double]) -> Double { values.reduce(0, +) / Double(max(1, values.count)) }
    let differences = zip(means(after), means(before)).map { $0 - $1 }
    let change = mean(differences)
    let square = differences.reduce(0) { $0 + ($1 - change) * ($1 - change) }
    let count = Double(differences.count)
    standardError = (square / max(1, count - 1) / max(1, count)).squareRoot()
    self.differences = differences
    self.before = mean(before)
    self.after = mean(after)
  }

  package var json: JSON {
    [
      "before": .number(before), "after": .number(after),
      "paired_standard_error": .number(standardError),
    ]
  }
}

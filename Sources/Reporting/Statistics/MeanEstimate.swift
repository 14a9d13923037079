/// The mean of a measure over prompts, with its uncertainty.
///
/// Prompts are the units that were drawn at random: images of one prompt are alike, so their mean
/// counts as one value. The interval is Student's: the mean of tens of prompts is close to normal, while
/// its deviation is estimated from the same few values.
public struct MeanEstimate: Equatable, Sendable {
  public let mean: Double
  /// Of the mean; nil of fewer than two values.
  public let standardError: Double?
  /// At 95 % confidence; nil of fewer than two values.
  public let interval: ClosedRange<Double>?

  /// - Parameter values: one for each prompt, at least one
  public init(_ values: [Double]) {
    precondition(!values.isEmpty, "the mean of no values")
    let count = Double(values.count)
    let mean = values.reduce(0, +) / count
    self.mean = mean
    guard values.count > 1 else {
      standardError = nil
      interval = nil
      return
    }
    let squares = values.reduce(0) { $0 + ($1 - mean) * ($1 - mean) }
    let error = (squares / (count - 1) / count).squareRoot()
    let margin = studentQuantile(0.975, degreesOfFreedom: values.count - 1) * error
    standardError = error
    interval = mean - margin...mean + margin
  }
}

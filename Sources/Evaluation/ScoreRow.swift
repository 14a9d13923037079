public import Files
public import Reporting
public import Scorers

/// One scorer's scores at one guidance of a model's images, alone or compared with another's.
public struct ScoreRow {
  public let scorer: ScorerKind
  public let guidance: Float
  public let model: MeanEstimate
  /// The model's mean score of each prompt's images.
  public let promptMeans: [Double]
  public let diversity: Double?
  /// Nil if the model was not compared.
  public let comparison: Comparison?

  /// The comparison of the model with the other, over the same prompts and noises.
  public struct Comparison {
    public let against: MeanEstimate
    public let againstDiversity: Double?
    /// The model's score minus the other's, by prompt.
    public let differences: [Double]
    public let difference: MeanEstimate
    public let winRate: WinRate

    /// Prompts from the largest gain to the largest loss.
    public var order: [Int] { PromptExamples.order(of: differences) }

    /// Some prompts to show, without repetitions.
    public var examples: (best: [Int], median: [Int], worst: [Int]) {
      PromptExamples.of(differences)
    }
  }

  /// The maximum number of prompts listed as the best, the median and the worst.
  static let shown = 8

  public init(
    _ scorer: ScorerKind, guidance: Float, _ scores: ScoreSet, against other: ScoreSet?
  ) {
    self.scorer = scorer
    self.guidance = guidance
    promptMeans = scores.promptMeans
    model = MeanEstimate(promptMeans)
    diversity = scores.meanDiversity
    comparison = other.map { other in
      let differences = zip(scores.promptMeans, other.promptMeans).map { $0 - $1 }
      return Comparison(
        against: MeanEstimate(other.promptMeans), againstDiversity: other.meanDiversity,
        differences: differences, difference: MeanEstimate(differences),
        winRate: WinRate(
          zip(scores.scores, other.scores).map { ours, theirs in zip(ours, theirs).map { $0 - $1 } }
        ))
    }
  }
}

// MARK: - Files

extension ScoreRow {
  /// Returns the figures, and the prompts with the largest gains, the largest losses, and the
  /// median ones.
  ///
  /// - Parameter prompts: the texts of all prompts
  public func json(prompts: [String]) -> JSON {
    var json: JSON.Object = .init()
    json["scorer"] = .string(scorer.rawValue)
    json["guidance"] = .number(Double(guidance))
    json["model"] = Self.json(model, diversity)
    guard let comparison else { return .object(json) }
    json["against"] = Self.json(comparison.against, comparison.againstDiversity)
    json["difference"] = Self.json(comparison.difference, nil)
    let wins = comparison.winRate
    json["win_rate"] = [
      "rate": .number(wins.rate), "interval": Self.json(wins.interval),
      "wins": .integer(wins.wins), "ties": .integer(wins.ties), "losses": .integer(wins.losses),
    ]
    let order = comparison.order
    let middle = order.dropFirst(max(0, (order.count - Self.shown) / 2)).prefix(Self.shown)
    func named(_ numbers: some Sequence<Int>) -> JSON {
      .array(
        numbers.map {
          [
            "prompt": .integer($0), "text": .string(prompts[$0]),
            "difference": .number(comparison.differences[$0]),
          ]
        })
    }
    json["best"] = named(order.prefix(Self.shown))
    json["median"] = named(middle)
    json["worst"] = named(order.reversed().prefix(Self.shown))
    return .object(json)
  }

  /// Returns the same with both models' means for each prompt.
  public func fullJSON(prompts: [String]) -> JSON {
    var json = json(prompts: prompts).object ?? JSON.Object()
    json["prompt_scores"] = .array(promptMeans.map { .number($0) })
    if let comparison {
      json["prompt_differences"] = .array(comparison.differences.map { .number($0) })
    }
    return .object(json)
  }

  private static func json(_ estimate: MeanEstimate, _ diversity: Double?) -> JSON {
    var json: JSON.Object = .init()
    json["mean"] = .number(estimate.mean)
    json["standard_error"] = estimate.standardError.map { .number($0) } ?? .null
    json["interval"] = estimate.interval.map { Self.json($0) } ?? .null
    if let diversity { json["diversity"] = .number(diversity) }
    return .object(json)
  }

  private static func json(_ interval: ClosedRange<Double>) -> JSON {
    [.number(interval.lowerBound), .number(interval.upperBound)]
  }
}

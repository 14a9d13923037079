public import Files
public import Reporting
public import Scorers

/// What one scorer says at one guidance of a model's images, by itself or beside those of another.
public struct ScoreRow {
  public let scorer: ScorerKind
  public let guidance: Float
  public let model: MeanEstimate
  /// The model's mean score of each prompt's images.
  public let promptMeans: [Double]
  public let diversity: Double?
  /// Nil where the model was compared with none.
  public let comparison: Comparison?

  /// The model beside the other, over the same prompts and noises.
  public struct Comparison {
    public let against: MeanEstimate
    public let againstDiversity: Double?
    /// The model's score less the other's, of each prompt.
    public let differences: [Double]
    public let difference: MeanEstimate
    public let winRate: WinRate

    /// Prompts from the one that gained most to the one that lost most.
    public var order: [Int] { PromptExamples.order(of: differences) }

    /// Some prompts to look at, none twice.
    public var examples: (best: [Int], median: [Int], worst: [Int]) {
      PromptExamples.of(differences)
    }
  }

  /// Prompts that are named as the best, as the median, and as the worst, at most.
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
  /// The figures, and the prompts that gained most, lost most, and are in the middle.
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

  /// The same with both models' means of each prompt.
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

import Diffusion
public import Files
public import Reporting
public import Scorers

/// What an evaluation found.
public struct EvaluationResult {
  /// What one scorer says at one guidance.
  public struct Row {
    public let scorer: ScorerKind
    public let guidance: Float
    public let model: MeanEstimate
    public let diversity: Double?
    /// Nil where the model was compared with none.
    public let comparison: Comparison?
  }

  /// The model beside the other, over the same prompts and noises.
  public struct Comparison {
    public let against: MeanEstimate
    public let againstDiversity: Double?
    /// The model's score less the other's, of each prompt.
    public let differences: [Double]
    public let difference: MeanEstimate
    public let winRate: WinRate

    /// Prompts from the one that gained most to the one that lost most.
    var order: [Int] {
      differences.indices.sorted {
        differences[$0] == differences[$1] ? $0 < $1 : differences[$0] > differences[$1]
      }
    }
  }

  public let rows: [Row]
  let request: EvaluationRequest
  /// `[guidance][side]`.
  let sets: [[ImageSet]]
  /// `[scorer][guidance][side]`.
  let scores: [[[ScoreSet]]]

  /// Prompts that are named as the best, and as the worst.
  static let shown = 8

  init(_ request: EvaluationRequest, sets: [[ImageSet]], scores: [[[ScoreSet]]]) {
    self.request = request
    self.sets = sets
    self.scores = scores
    rows = request.guidance.indices.flatMap { guidance in
      zip(request.scorers, scores).map { scorer, scores in
        let sides = scores[guidance]
        return Row(
          scorer: scorer.kind, guidance: request.guidance[guidance],
          model: MeanEstimate(sides[0].promptMeans), diversity: sides[0].meanDiversity,
          comparison: sides.count > 1 ? Comparison(sides[0], sides[1]) : nil)
      }
    }
  }
}

extension EvaluationResult.Comparison {
  init(_ model: ScoreSet, _ other: ScoreSet) {
    against = MeanEstimate(other.promptMeans)
    againstDiversity = other.meanDiversity
    differences = zip(model.promptMeans, other.promptMeans).map { $0 - $1 }
    difference = MeanEstimate(differences)
    winRate = WinRate(
      zip(model.scores, other.scores).map { ours, theirs in zip(ours, theirs).map { $0 - $1 } })
  }
}

// MARK: - Files

extension EvaluationResult {
  /// What `evaluation.json` holds and `--json` prints.
  public var json: JSON {
    var json: JSON.Object = .init()
    json["model"] = Self.json(request.model)
    if let against = request.against { json["against"] = Self.json(against) }
    json["prompts"] = .string(request.prompts.path)
    json["prompt_count"] = .integer(request.prompts.entries.count)
    json["images_per_prompt"] = .integer(request.imagesPerPrompt)
    json["scheduler"] = "ddim"
    json["steps"] = .integer(request.steps)
    json["eta"] = .number(Double(request.eta))
    json["seed"] = JSON(request.seed)
    json["results"] = .array(rows.map(self.json))
    json["images"] = .array(request.guidance.indices.flatMap(images))
    return .object(json)
  }

  private static func json(_ model: EvaluatedModel) -> JSON {
    var json: JSON.Object = .init()
    json["path"] = .string(model.folder.path)
    json["lora"] = .array(model.loraPaths.map { .string($0) })
    if !model.loraPaths.isEmpty { json["lora_scale"] = .number(Double(model.loraScale)) }
    return .object(json)
  }

  private func json(_ row: Row) -> JSON {
    var json: JSON.Object = .init()
    json["scorer"] = .string(row.scorer.rawValue)
    json["guidance"] = .number(Double(row.guidance))
    json["model"] = Self.json(row.model, row.diversity)
    guard let comparison = row.comparison else { return .object(json) }
    json["against"] = Self.json(comparison.against, comparison.againstDiversity)
    json["difference"] = Self.json(comparison.difference, nil)
    let wins = comparison.winRate
    json["win_rate"] = [
      "rate": .number(wins.rate), "interval": Self.json(wins.interval),
      "wins": .integer(wins.wins), "ties": .integer(wins.ties), "losses": .integer(wins.losses),
    ]
    let order = comparison.order
    func named(_ prompts: some Sequence<Int>) -> JSON {
      .array(
        prompts.map {
          [
            "prompt": .integer($0), "text": .string(request.prompts.entries[$0].text),
            "difference": .number(comparison.differences[$0]),
          ]
        })
    }
    json["best"] = named(order.prefix(Self.shown))
    json["worst"] = named(order.reversed().prefix(Self.shown))
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

  /// Every image with its seed and scores.
  private func images(_ guidance: Int) -> [JSON] {
    request.prompts.entries.indices.flatMap { prompt in
      (0..<request.imagesPerPrompt).map { image in
        var json: JSON.Object = .init()
        json["prompt"] = .integer(prompt)
        json["text"] = .string(request.prompts.entries[prompt].text)
        json["guidance"] = .number(Double(request.guidance[guidance]))
        json["seed"] = JSON(request.seed(prompt: prompt, image: image))
        for (side, name) in zip(request.sides.indices, ["model", "against"]) {
          var own: JSON.Object = .init()
          own["file"] = .string(sets[guidance][side].path(prompt: prompt, image: image))
          for (scorer, found) in zip(request.scorers, scores) {
            own[scorer.kind.rawValue] = .number(found[guidance][side].scores[prompt][image])
          }
          json[name] = .object(own)
        }
        return .object(json)
      }
    }
  }
}

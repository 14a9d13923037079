import Diffusion
public import Files
import Reporting
import Scorers

/// The result of an evaluation.
public struct EvaluationResult {
  public let rows: [ScoreRow]
  let request: EvaluationRequest
  /// `[guidance][side]`.
  let sets: [[ImageSet]]
  /// `[scorer][guidance][side]`.
  let scores: [[[ScoreSet]]]

  init(_ request: EvaluationRequest, sets: [[ImageSet]], scores: [[[ScoreSet]]]) {
    self.request = request
    self.sets = sets
    self.scores = scores
    rows = request.guidance.indices.flatMap { guidance in
      zip(request.scorers, scores).map { scorer, scores in
        let sides = scores[guidance]
        return ScoreRow(
          scorer.kind, guidance: request.guidance[guidance], sides[0],
          against: sides.count > 1 ? sides[1] : nil)
      }
    }
  }
}

extension EvaluationResult {
  var table: ScoreTable {
    ScoreTable(rows, against: request.against == nil ? nil : "against")
  }

  /// The table as text.
  public var lines: [String] {
    let (prompts, images) = (request.prompts.entries.count, request.imagesPerPrompt)
    return [
      "\(prompts) \(prompts == 1 ? "prompt" : "prompts"), \(images) \(images == 1 ? "image" : "images") each"
    ] + table.lines
  }
}

// MARK: - Files

extension EvaluationResult {
  /// The contents of `evaluation.json` and the output of `--json`.
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
    let texts = request.prompts.entries.map(\.text)
    json["results"] = .array(rows.map { $0.json(prompts: texts) })
    json["images"] = .array(request.guidance.indices.flatMap(images))
    return .object(json)
  }

  private static func json(_ model: EvaluatedModel) -> JSON {
    var json: JSON.Object = .init()
    json["path"] = .string(model.folder.path)
    json["lora"] = .array(model.loraPaths.map { .string($0) })
    if !model.negativeLoRAs.isEmpty {
      json["negative_lora"] = .array(model.negativeLoRAs.map { .string($0.path) })
      json["negative_lora_weight"] = .array(
        model.negativeLoRAs.map { .number(Double($0.weight)) })
    }
    let scales = model.loraScales.map { JSON.number(Double($0)) }
    if let scale = scales.first {
      json["lora_scale"] = Set(model.loraScales).count == 1 ? scale : .array(scales)
    }
    return .object(json)
  }

  /// Returns every image with its seed and scores.
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

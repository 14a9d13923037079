import Files
import ReportStages
import Reporting
import Testing

@Suite struct MeasuredCurvesTests {
  private func charts(_ stage: String, _ lines: [String]) throws -> [Chart] {
    try MeasuredCurves(
      stage: stage,
      lines: lines.map { try #require(try JSON(parsing: Array($0.utf8), source: "line").object) }
    ).charts
  }

  @Test("measurements have a chart each, those of unknown names too; counters and lists have none")
  func names() throws {
    let charts = try charts(
      "spo",
      [
        #"{"step": 1, "loss": 0.7, "new_figure": 1, "updates": 3, "steps": [1]}"#,
        #"{"step": 2, "loss": null, "new_figure": 2, "text": "x"}"#,
      ])
    #expect(charts.map(\.title) == ["Loss", "New figure"])
    #expect(charts.map { $0.x.label } == ["sampling batch", "sampling batch"])
    #expect(charts[0].series[0].points.count == 1)
    #expect(charts[1].series.map(\.name) == ["measured"])
    #expect(try self.charts("denoiser", [#"{"step": 1, "loss": 1}"#])[0].x.label == "step")
    #expect(try self.charts("spo", []).isEmpty)
  }

  @Test("a batch without pairs has no loss, and leaves a gap")
  func gaps() throws {
    let points = try charts(
      "spo",
      [
        #"{"step": 1, "loss": 0.7, "pairs": 4}"#, #"{"step": 2, "loss": 0, "pairs": 0}"#,
        #"{"step": 3, "loss": 0.6, "pairs": 2}"#,
      ]
    ).flatMap { chart in chart.series.map { (chart.title, $0.points.map(\.y)) } }
    #expect(points[0].0 == "Loss" && points[0].1[1].isNaN && points[0].1[2] == 0.6)
    #expect(points[1].0 == "Pairs trained on" && points[1].1 == [4, 0, 2])
  }

  @Test("what was measured before the first step, and at the outermost timesteps")
  func series() throws {
    let charts = try charts(
      "spo",
      [
        #"{"step": 1, "held_out_score": 2, "held_out_score_before": 1, "kl": 0, "kl_by_timestep": {"1": 1, "501": 2, "901": 3}}"#,
        #"{"step": 2, "held_out_score": 3, "kl": 1, "kl_by_timestep": {"501": 4}}"#,
      ])
    #expect(charts.count == 2)
    #expect(charts[0].series[0].points.map(\.x) == [0, 1, 2])
    #expect(charts[1].series.map(\.name) == ["all timesteps", "timestep 901", "timestep 1"])
    #expect(charts[1].series[1].points.map(\.y) == [3])
  }

  @Test("other scorers of held-out images have a curve each, which begins before the first step")
  func otherScorers() throws {
    let charts = try charts(
      "spo",
      [
        #"{"step": 1, "held_out_clip_before": 1, "held_out_scores_before": {"clip": [1]}, "pairs": 2}"#,
        #"{"step": 2, "held_out_clip": 3, "held_out_scores": {"clip": [3]}, "pairs": 2}"#,
      ])
    #expect(charts.map(\.title) == ["Pairs trained on", "Held-out prompts: clip"])
    #expect(charts[1].series[0].points.map(\.y) == [1, 3])
    #expect(charts[1].series[0].points.map(\.x) == [0, 2])
  }
}

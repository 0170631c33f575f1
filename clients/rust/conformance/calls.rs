//! Makes the call of a case, whichever method it is of.

use std::any::Any;
use std::time::Instant;

use serde_json::Value;
use tokio::time::sleep;
use trivium::prost::Message;
use trivium::v1::{
    StreamGenerateResponse, StreamRecognizeResponse, StreamSynthesizeResponse, stream_recognize_response,
    stream_synthesize_response,
};
use trivium::{Answer, Sender, StreamCall, StreamEvent, UnaryCall};

use crate::case::{Case, bytes};
use crate::outcome::{Outcome, unsupported};

/// Writes the arms that call each method; its types are those of the method.
macro_rules! methods {
    ($case:ident, $client:ident, {
        unary: [$($unary:literal => $unary_group:ident . $unary_name:ident,)*],
        one: [$($one:literal => $one_group:ident . $one_name:ident,)*],
        many: [$($many:literal => $many_group:ident . $many_name:ident,)*],
    }) => {
        match $case.method.as_str() {
            $($unary => unary($case, |request| $client.$unary_group().$unary_name(request)).await,)*
            $($one => one($case, |request| $client.$one_group().$one_name(request)).await,)*
            $($many => many($case, |requests| $client.$many_group().$many_name(requests)).await,)*
            other => return unsupported(&format!("there is no method {other}")),
        }
    };
}

/// Returns what is to be printed.
pub(crate) async fn run(case: &Case) -> Value {
    let begun = Instant::now();
    let client = match case.client() {
        Ok(client) => client,
        Err(error) => return Outcome::of_error(error).print(begun.elapsed().as_secs_f64()),
    };
    let outcome = methods!(case, client, {
        unary: [
            "trivium.v1.TextGenerationService/Generate" => text.generate,
            "trivium.v1.TextGenerationService/CountTokens" => text.count_tokens,
            "trivium.v1.EmbeddingService/Embed" => embeddings.embed,
            "trivium.v1.EmbeddingService/Rerank" => embeddings.rerank,
            "trivium.v1.EmbeddingService/CompareTexts" => embeddings.compare_texts,
            "trivium.v1.TextAnalysisService/ClassifyText" => analysis.classify_text,
            "trivium.v1.TextAnalysisService/ExtractEntities" => analysis.extract_entities,
            "trivium.v1.TextAnalysisService/DetectLanguage" => analysis.detect_language,
            "trivium.v1.VisionService/AnalyzeImage" => vision.analyze_image,
            "trivium.v1.SpeechRecognitionService/Recognize" => speech.recognize,
            "trivium.v1.SpeechSynthesisService/Synthesize" => speech.synthesize,
            "trivium.v1.SpeechSynthesisService/ListVoices" => speech.list_voices,
            "trivium.v1.ModelService/ListModels" => models.list_models,
            "trivium.v1.ModelService/GetModel" => models.get_model,
            "trivium.admin.v1.AdminService/GetServerInfo" => admin.get_server_info,
            "trivium.admin.v1.AdminService/DrainServer" => admin.drain_server,
            "trivium.admin.v1.AdminService/UnloadModel" => admin.unload_model,
            "grpc.health.v1.Health/Check" => health.check,
        ],
        one: [
            "trivium.v1.TextGenerationService/StreamGenerate" => text.stream_generate,
            "trivium.v1.ModelService/WatchModels" => models.watch_models,
            "trivium.admin.v1.AdminService/LoadModel" => admin.load_model,
            "grpc.health.v1.Health/Watch" => health.watch,
        ],
        many: [
            "trivium.v1.EmbeddingService/StreamEmbed" => embeddings.stream_embed,
            "trivium.v1.VisionService/StreamAnalyzeImage" => vision.stream_analyze_image,
            "trivium.v1.SpeechRecognitionService/StreamRecognize" => speech.stream_recognize,
            "trivium.v1.SpeechSynthesisService/StreamSynthesize" => speech.stream_synthesize,
        ],
    });
    match outcome {
        Ok(outcome) => outcome.print(begun.elapsed().as_secs_f64()),
        Err(problem) => unsupported(&problem),
    }
}

/// Tells a call what the case tells it; both kinds of calls have these methods.
macro_rules! configured {
    ($case:ident, $call:expr) => {{
        let mut call = $call;
        if let Some(timeout) = $case.call.timeout {
            call = call.timeout(timeout);
        }
        if let Some(id) = &$case.call.request_id {
            call = call.request_id(id);
        }
        for (key, value) in &$case.call.metadata {
            call = match bytes(value) {
                Ok(packed) if key.ends_with("-bin") => call.metadata_bin(key, packed),
                _ => call.metadata(key, value),
            };
        }
        call
    }};
}

async fn unary<Req, Res, F>(case: &Case, make: F) -> Result<Outcome, String>
where
    Req: Message + Default,
    Res: Message + Default + 'static,
    F: FnOnce(Req) -> UnaryCall<Res>,
{
    let (signal, _sender) = case.act.cancellation();
    let call = configured!(case, make(request(case)?)).cancel_on(signal);
    let mut outcome = Outcome { request_id: call.id().to_owned(), ..Outcome::default() };
    match call.await {
        Ok(response) => outcome.add(&response),
        Err(error) => outcome.error = Some(error),
    }
    Ok(outcome)
}

async fn one<Req, Res, F>(case: &Case, make: F) -> Result<Outcome, String>
where
    Req: Message + Default,
    Res: StreamEvent,
    F: FnOnce(Req) -> StreamCall<Res>,
{
    Ok(read::<Req, Res>(case, make(request(case)?), None).await)
}

async fn many<Req, Res, F>(case: &Case, make: F) -> Result<Outcome, String>
where
    Req: Message + Default + 'static,
    Res: StreamEvent,
    F: FnOnce(trivium::Requests<Req>) -> StreamCall<Res>,
{
    let (sender, requests) = trivium::requests(case.requests.len());
    for packed in &case.requests {
        let sent = sender.send(unpacked(packed)?).await;
        sent.map_err(|ended| ended.to_string())?;
    }
    let sender = case.act.half_closes_on_go_away.then_some(sender);
    Ok(read(case, make(requests), sender).await)
}

/// Reads the stream as the case says. Dropping `sender` half-closes the call.
async fn read<Req, Res: StreamEvent>(case: &Case, call: StreamCall<Res>, mut sender: Option<Sender<Req>>) -> Outcome {
    let (signal, mut cancel) = case.act.cancellation();
    let mut call = configured!(case, call).cancel_on(signal);
    if let Some(limit) = case.call.idle_timeout {
        call = call.idle_timeout(limit);
    }
    let mut outcome = Outcome { request_id: call.id().to_owned(), ..Outcome::default() };
    let mut answer = Answer::default();
    let text = |answer: &Answer| case.method.ends_with("/StreamGenerate").then(|| answer.text().to_owned());
    let mut stream = match call.await {
        Ok(stream) => stream,
        Err(error) => return Outcome { text: text(&answer), ..Outcome::of_error(error) },
    };
    let mut count = 0;
    loop {
        if let Some(pause) = case.act.read_pause {
            sleep(pause).await;
        }
        match stream.next().await {
            None => break,
            Some(Err(error)) => {
                outcome.error = Some(error);
                break;
            }
            Some(Ok(event)) => {
                count += 1;
                outcome.add(&event);
                if is_go_away(&event) {
                    sender = None;
                }
                if let Some(event) = of_type::<StreamGenerateResponse>(&event) {
                    answer.add(event);
                }
            }
        }
        if case.act.stop_after_messages == Some(count) {
            break;
        }
        if case.act.cancel_after_messages == Some(count)
            && let Some(cancel) = cancel.take()
        {
            let _ = cancel.send(()); // a call that is over listens no more
        }
    }
    drop(sender);
    outcome.text = text(&answer);
    outcome
}

/// Whether the server said that it will end the stream.
fn is_go_away(event: &impl Any) -> bool {
    use stream_recognize_response::Event as Recognized;
    use stream_synthesize_response::Event as Synthesized;

    let recognized = of_type::<StreamRecognizeResponse>(event);
    let synthesized = of_type::<StreamSynthesizeResponse>(event);
    recognized.is_some_and(|event| matches!(event.event, Some(Recognized::GoAway(_))))
        || synthesized.is_some_and(|event| matches!(event.event, Some(Synthesized::GoAway(_))))
}

fn of_type<T: Any>(event: &dyn Any) -> Option<&T> {
    event.downcast_ref()
}

fn request<Req: Message + Default>(case: &Case) -> Result<Req, String> {
    unpacked(case.requests.first().ok_or("the call has no request")?)
}

fn unpacked<Req: Message + Default>(packed: &[u8]) -> Result<Req, String> {
    Req::decode(packed).map_err(|error| format!("the request cannot be read: {error}"))
}

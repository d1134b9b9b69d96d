//! Intents, and the values that they hold.

use cqrs_core::{
    CommandId, Footing, Holder, Intended, Intent, IntentError, Intents, Known, KnownState, Lease,
    OpenIntent, ReservedValue,
};

use super::calls::{MssqlIntents, millis, request};
use super::told::{self, Told};
use super::wire;
use crate::error::CallError;
use crate::pool::Call;

impl Intents for MssqlIntents {
    async fn intend(
        &self,
        intent: Intent<'_>,
        lease: Lease,
        footing: &Footing,
    ) -> Result<Intended, IntentError> {
        let entry = intent.entry;
        let call = Call::new(self.statements().intend.clone())
            .with(entry.command.as_uuid().as_bytes().as_slice())
            .with(request(entry))
            .with(entry.time.as_millis())
            .with(wire::attempt(entry.attempt.unwrap_or(0))?)
            .with(lease.owner.as_bytes().as_slice())
            .with(millis(lease))
            .with(wire::footing(footing)?)
            .with(intent.stream.as_str().as_bytes())
            .with(wire::number(intent.version.get())?)
            .with(wire::ids(intent.reserve))
            .with(intent.commit.clone());
        let intended = self.until(Some(footing), call, |outcome, told| match outcome {
            0 => in_the_way(&intent, told),
            1 => Ok(Some(Intended::Opened {
                attempt: entry.attempt.unwrap_or(1),
            })),
            2 => Err(CallError::Lost),
            9 => Ok(None),
            _ => Err(CallError::Unknown("outcome")),
        });
        Ok(intended.await?)
    }

    async fn drop_intent(&self, command: CommandId, attempt: u32) -> Result<bool, IntentError> {
        let call = Call::new(self.statements().drop_intent.clone())
            .with(command.as_uuid().as_bytes().as_slice())
            .with(wire::attempt(attempt)?);
        let dropped = self.until(None, call, |outcome, _| match outcome {
            0 => Ok(Some(false)),
            1 => Ok(Some(true)),
            9 => Ok(None),
            _ => Err(CallError::Unknown("outcome")),
        });
        Ok(dropped.await?)
    }

    async fn expired(&self, limit: usize) -> Result<Vec<OpenIntent>, IntentError> {
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let call = Call::new(self.statements().expired.clone()).with(limit);
        let rows = self.read(call).await?.rows()?;
        let open = rows.iter().map(told::open);
        Ok(open
            .filter_map(Result::transpose)
            .collect::<Result<_, _>>()?)
    }

    async fn holder(&self, value: &ReservedValue) -> Result<Option<Holder>, IntentError> {
        let key = wire::id(value);
        let call = Call::new(self.statements().holder.clone()).with(key.as_slice());
        let Some(row) = self.read(call).await?.row()? else {
            return Ok(None);
        };
        Ok(Some(Holder {
            stream: told::stream(told::get(&row, "holder")?)?,
            pending: told::get::<i32>(&row, "pending")? == 1,
            open: told::open(&row)?,
        }))
    }
}

/// Why nothing was opened; `None` where that is gone, and the call is to be made again.
fn in_the_way(intent: &Intent<'_>, told: &mut Told) -> Result<Option<Intended>, CallError> {
    match (told.row()?, intent.entry.attempt) {
        (None, None) => {}
        // It was ours, and a row that is held is never deleted by another.
        (None, Some(_)) => return Err(CallError::Lost),
        (Some(row), attempt) => match told::known(&row)? {
            // Changed while it was read.
            None => return Ok(None),
            Some(Known {
                attempt: held,
                state: KnownState::Claimed { .. },
                ..
            }) if attempt == Some(held) => {}
            Some(known) => return Ok(Some(Intended::Known(known))),
        },
    }
    if let Some(open) = told.open()? {
        return Ok(Some(Intended::Blocked(open)));
    }
    let open = told.open()?;
    let row = told.row()?.ok_or(CallError::Unknown("holder"))?;
    let Some(holder) = told::optional::<&[u8]>(&row, "holder")? else {
        return Ok(None);
    };
    if let Some(open) = open {
        return Ok(Some(Intended::Blocked(open)));
    }
    if told::get::<i32>(&row, "still")? == 0 {
        return Ok(None);
    }
    let nth = usize::try_from(told::get::<i32>(&row, "nth")?).ok();
    let value = nth.and_then(|nth| intent.reserve.get(nth.checked_sub(1)?));
    Ok(Some(Intended::Taken {
        value: value.ok_or(CallError::Unknown("value"))?.clone(),
        owner: told::stream(holder)?,
    }))
}
